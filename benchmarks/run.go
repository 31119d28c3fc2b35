// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/samsa-broker/samsa/benchmarks/host"
	"github.com/samsa-broker/samsa/benchmarks/null"
)

var rootContext = context.Background()

// options of a run.
type options struct {
	set, out, dir, bin, jars, netpoll, loops string
	systems, rows                            []string
	seed                                     uint64
	blocks                                   int
	scale                                    float64
	pin, force                               bool
	memory                                   int64
}

func runCommand() *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use: "run", Short: "Run a set of rows and write a result", Args: cobra.NoArgs,
		Example: `  go run ./benchmarks run --set ci --systems samsa,samsa-kafka,null
  go run ./benchmarks run --set full --systems samsa,samsa-kafka,k39,k39-tuned,k4,k4-tuned,null`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.ErrOrStderr()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.set, "set", "ci", "rows: ci or full")
	f.StringSliceVar(&o.rows, "rows", nil, "these rows alone, by name")
	f.StringSliceVar(&o.systems, "systems", []string{"samsa", "samsa-kafka", "k39", "null"}, "systems (see list)")
	f.Uint64Var(&o.seed, "seed", 1, "decides the order of slots and the bytes")
	f.IntVar(&o.blocks, "blocks", 0, "mirrored blocks, two slots a system each (0: 1 for ci, 3 for full)")
	f.Float64Var(&o.scale, "scale", 1, "work of a slot, as a part of the usual")
	f.StringVar(&o.out, "out", filepath.Join("benchmarks", "results"), "folder of the result")
	f.StringVar(&o.dir, "dir", "", "folder of the brokers' logs (a temporary one)")
	f.StringVar(&o.bin, "samsa", "", "Samsa's binary (it is built)")
	f.StringVar(&o.jars, "jars", filepath.Join(".cache", "peers"), "folder of the peers' jars")
	f.StringVar(&o.netpoll, "netpoll", "auto", "samsa.netpoll")
	f.StringVar(&o.loops, "loops", "0", "samsa.event.loops")
	f.BoolVar(&o.pin, "pin", true, "brokers on the first core, the generator on the others")
	f.BoolVar(&o.force, "force", false, "run on a busy machine, too")
	f.Int64Var(&o.memory, "prepare-mib", 0, "MiB of memory to touch and break up before (0: 7 in 10 of what is free; negative: none)")
	return cmd
}

func (o *options) run(ctx context.Context, progress io.Writer) (err error) {
	say := func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }
	list, err := o.choose()
	if err != nil {
		return err
	}
	if l := host.Load(); l > 0.5 && !o.force {
		return fmt.Errorf("the machine is busy: load %.2f, at most 0.5 is quiet; wait, or --force and say so", l)
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "samsa-bench"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	e, err := o.environment(say)
	if err != nil {
		return err
	}
	var set host.Settings
	defer func() { err = errors.Join(err, set.Restore()) }()
	loose := o.control(&set)
	held, err := o.prepare(say)
	if err != nil {
		loose = append(loose, err.Error())
	}
	defer runtime.KeepAlive(held)
	if o.pin {
		if err := pinSelf(1, runtime.NumCPU()); err != nil {
			loose = append(loose, fmt.Sprintf("the generator is not pinned: %v", err))
		}
	}
	systems, err := o.systemsOf(ctx, e, say)
	defer func() {
		for _, s := range systems {
			s.stop()
		}
	}()
	if err != nil {
		return err
	}
	return o.carryOut(ctx, list, systems, loose, say)
}

// choose the rows.
func (o *options) choose() ([]row, error) {
	var out []row
	for _, r := range rows() {
		if len(o.rows) > 0 && slices.Contains(o.rows, r.id) || len(o.rows) == 0 && (o.set == "full" || r.ci) {
			out = append(out, r)
		}
	}
	if o.set != "ci" && o.set != "full" || len(out) == 0 || len(o.rows) > len(out) {
		return nil, fmt.Errorf("no such set or rows: %s %v (see list)", o.set, o.rows)
	}
	if o.blocks == 0 {
		o.blocks = map[string]int{"ci": 1, "full": 3}[o.set]
	}
	return out, nil
}

func (o *options) environment(say func(string, ...any)) (*environment, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e := &environment{dir: o.dir, bin: o.bin, self: self, jars: o.jars, netpoll: o.netpoll, loops: o.loops}
	if o.pin && runtime.NumCPU() > 1 {
		e.cpus = "0"
	}
	o.pin = e.cpus != ""
	if e.bin == "" {
		say("building samsa")
		e.bin = filepath.Join(o.dir, "samsa.bin")
		out, err := exec.Command("go", "build", "-tags", "giouring", "-ldflags=-checklinkname=0", "-o", e.bin, "./cmd/samsa").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("building samsa: %w: %s", err, out)
		}
	}
	return e, nil
}

// control changes kernel settings for the run and says which it could not.
func (o *options) control(set *host.Settings) (loose []string) {
	for _, s := range [][2]string{{"net/ipv4/tcp_congestion_control", "cubic"}, {"vm/dirty_background_ratio", "50"}, {"vm/dirty_ratio", "70"}} {
		if err := set.Set(s[0], s[1]); err != nil {
			loose = append(loose, err.Error())
		}
	}
	if !o.pin {
		loose = append(loose, "brokers and generator share the cores")
	}
	return append(loose, "the host's other guests, clock frequencies")
}

func (o *options) prepare(say func(string, ...any)) ([]byte, error) {
	if o.memory < 0 {
		return nil, errors.New("memory is not prepared")
	}
	n := o.memory << 20
	if n == 0 {
		n = host.Available() / 10 * 7
	}
	say("preparing %d MiB of memory", n>>20)
	return host.Prepare(n)
}

// systemsOf starts all systems, warms and freezes them.
func (o *options) systemsOf(ctx context.Context, e *environment, say func(string, ...any)) ([]*system, error) {
	var out []*system
	for _, id := range o.systems {
		s, err := e.start(ctx, id)
		if err != nil {
			return out, err
		}
		out = append(out, s)
		say("%s serves on %s after %v, %d MiB resident", id, s.addr, s.took.Round(time.Millisecond), s.group.RSS()>>20)
		if strings.HasPrefix(id, "k") {
			say("warming %s", id)
			if err := warm(ctx, s); err != nil {
				return out, fmt.Errorf("warming %s: %w", id, err)
			}
		}
		if err := s.group.Freeze(); err != nil {
			return out, err
		}
	}
	return out, nil
}

// warm lets a JVM compile: small and large requests, reads and long polls.
func warm(ctx context.Context, s *system) error {
	for i, w := range rows() {
		if !w.ci || w.flush || w.id == "W9" {
			continue
		}
		one := &slot{ctx: ctx, sys: s, scale: 1, seed: uint64(i), topic: fmt.Sprintf("warm-%d", i), figures: map[string]float64{}}
		if err := errors.Join(w.run(one), one.remove()); err != nil {
			return err
		}
	}
	return nil
}

// carryOut runs the rows and writes result, table and plot.
func (o *options) carryOut(ctx context.Context, list []row, systems []*system, loose []string, say func(string, ...any)) error {
	h := header{
		Commit: commit(), Date: time.Now().UTC().Format("2006-01-02"), Seed: o.seed, Set: o.set, Pinned: o.pin, Systems: o.systems,
		Versions: versions(), Machine: host.Describe(o.dir), Measured: systems[0].group.How(), Uncontrolled: loose,
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	name := filepath.Join(o.out, h.Date+"-"+o.set)
	f, err := os.Create(name + ".jsonl")
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	r := &runner{systems: systems, blocks: o.blocks, scale: o.scale, seed: o.seed, out: io.MultiWriter(f, &buf), say: say}
	b, err := json.Marshal(h)
	if err == nil {
		_, err = r.out.Write(append(b, '\n'))
	}
	if err == nil {
		err = r.run(ctx, list)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	res, err := readResult(&buf)
	if err != nil {
		return err
	}
	md, err := os.Create(name + ".md")
	if err != nil {
		return err
	}
	res.print(md)
	svg, err := os.Create(name + ".svg")
	if err != nil {
		return errors.Join(err, md.Close())
	}
	res.plot(svg)
	say("wrote %s.jsonl, .md and .svg", name)
	if err := errors.Join(md.Close(), svg.Close()); err != nil {
		return err
	}
	for _, s := range res.samples {
		if s.Failed != "" {
			return fmt.Errorf("%s of %s failed: %s", s.Row, s.Contender, s.Failed)
		}
	}
	return nil
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func versions() []string {
	out := []string{"Kafka 3.9.2", "Kafka 4.3.1", runtime.Version()}
	if text, err := exec.Command("java", "-version").CombinedOutput(); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		out = append(out, line)
	}
	return out
}

func nullCommand() *cobra.Command {
	var listen, dir string
	cmd := &cobra.Command{
		Use: "null", Short: "Be the null broker, until it is killed", Args: cobra.NoArgs,
		Example: "  benchmarks null --listen 127.0.0.1:9099 --dir /var/tmp/null",
		RunE: func(*cobra.Command, []string) error {
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return err
			}
			return null.New(dir).Serve(ln)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address to listen on")
	cmd.Flags().StringVar(&dir, "dir", ".", "folder of its files")
	return cmd
}
