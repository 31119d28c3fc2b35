// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/samsa-broker/samsa/benchmarks/host"
	"github.com/samsa-broker/samsa/benchmarks/limit"
)

var rootContext = context.Background()

// options of a run.
type options struct {
	set, out, dir, bin, jars, netpoll, loops, on string
	systems, rows                                []string
	seed                                         uint64
	blocks                                       int
	scale                                        float64
	pin, force, rehearse, record                 bool
	memory                                       int64
	gate                                         string // file of the gate
}

// set of rows and systems with a name.
type set struct {
	story   string
	rows    func(w *row) bool
	systems []string
	blocks  int
	scale   float64
	loose   bool // not pinned: its systems have more loops than one core carries
}

var ownModes = []string{"samsa", "samsa-kafka"}

// sets of a run.
var sets = map[string]set{
	"ci": {story: "the small set beside Kafka 3.9", rows: func(w *row) bool { return w.ci },
		systems: append(ownModes[:2:2], "k39", "null", "null-c"), blocks: 1, scale: 1},
	"full": {story: "every row beside both Kafkas, stock and tuned", rows: func(*row) bool { return true },
		systems: append(ownModes[:2:2], "k39", "k39-tuned", "k4", "k4-tuned", "null", "null-c"), blocks: 3, scale: 1},
	"matrix": {story: "the small set on every backend of Samsa, with one loop and two, in both modes; not pinned",
		rows: func(w *row) bool { return w.ci }, systems: variantIDs(), blocks: 2, scale: 1, loose: true},
	"fs": {story: "W9 and W18 on the file system that --on names", rows: func(w *row) bool { return w.id == "W9" || w.id == "W18" },
		systems: append(ownModes[:2:2], "k39", "k4-tuned"), blocks: 3, scale: 1},
	"gate": {story: "in less than six minutes: has a part of the limit lines been lost since it was recorded?",
		rows: func(w *row) bool { _, ok := gated[w.id]; return ok }, systems: append(ownModes[:2:2], "null-c"), blocks: 2, scale: 0.5},
}

func variantIDs() []string {
	var out []string
	for _, k := range variants() {
		out = append(out, k.id)
	}
	return out
}

func runCommand() *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use: "run", Short: "Run a set of rows and write a result", Args: cobra.NoArgs,
		Example: `  go run ./benchmarks run --set ci
  go run ./benchmarks run --set full --rows W1,W12 --systems samsa,k39,k39-tuned,null-c
  go run ./benchmarks run --set fs --on xfs
  go run ./benchmarks run --set gate
  go run ./benchmarks run --set full --rehearse`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.ErrOrStderr(), cmd.Flags().Changed)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.set, "set", "ci", "rows and systems: "+strings.Join(slices.Sorted(maps.Keys(sets)), ", ")+" (see list)")
	f.StringSliceVar(&o.rows, "rows", nil, "these rows alone, by name")
	f.StringSliceVar(&o.systems, "systems", nil, "these systems instead of the set's (see list)")
	f.Uint64Var(&o.seed, "seed", 1, "decides the order of slots and the bytes")
	f.IntVar(&o.blocks, "blocks", 0, "mirrored blocks, two slots a system each (0: as the set has it)")
	f.Float64Var(&o.scale, "scale", 0, "work of a slot, as a part of the usual (0: as the set has it)")
	f.StringVar(&o.out, "out", filepath.Join("benchmarks", "results"), "folder of the result")
	f.StringVar(&o.dir, "dir", "", "folder of the brokers' logs (a temporary one)")
	f.StringVar(&o.on, "on", "", "put the logs on a file system of their own on a loop device: ext4 (with a journal) or xfs; needs root")
	f.StringVar(&o.bin, "samsa", "", "Samsa's binary (it is built)")
	f.StringVar(&o.jars, "jars", filepath.Join(".cache", "peers"), "folder of the peers' jars")
	f.StringVar(&o.netpoll, "netpoll", "auto", "samsa.netpoll of samsa and samsa-kafka")
	f.StringVar(&o.loops, "loops", "0", "samsa.event.loops of samsa and samsa-kafka")
	f.BoolVar(&o.pin, "pin", true, "brokers on the first core, the generator on the others")
	f.BoolVar(&o.force, "force", false, "run on a busy machine, too")
	f.BoolVar(&o.rehearse, "rehearse", false, "only see whether everything runs: a hundredth of the work, one block, a busy machine, no kernel setting changed, nothing written to the folder of results")
	f.BoolVar(&o.record, "record", false, "write what the set gate measures into its file")
	f.StringVar(&o.gate, "gate-file", filepath.Join("benchmarks", "gate.json"), "file of the gate")
	f.Int64Var(&o.memory, "prepare-mib", 0, "MiB of memory to touch and break up before (0: 7 in 10 of what is free; negative: none)")
	return cmd
}

func (o *options) run(ctx context.Context, progress io.Writer, given func(string) bool) (err error) {
	say := func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }
	list, err := o.choose(given)
	if err != nil {
		return err
	}
	if l := host.Load(); l > 0.5 && !o.force {
		return fmt.Errorf("the machine is busy: load %.2f, at most 0.5 is quiet; wait, or --force and say so", l)
	}
	var undo undoing
	defer func() { err = errors.Join(err, undo.all()) }()
	if err = o.folder(&undo); err != nil {
		return err
	}
	e, err := o.environment(say)
	if err != nil {
		return err
	}
	r := &runner{env: e, blocks: o.blocks, scale: o.scale, seed: o.seed, loose: o.rehearse, say: say, noisy: o.gateNoise(), lines: o.lines()}
	loose := o.control(&undo, r)
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
	undo.add(func() error {
		for _, s := range r.systems {
			s.stop()
		}
		return nil
	})
	if err := o.systemsOf(ctx, r); err != nil {
		return err
	}
	return o.carryOut(ctx, list, r, loose)
}

// undoing is what has to be put back, the last first.
type undoing []func() error

func (u *undoing) add(f func() error) { *u = append(*u, f) }

func (u *undoing) all() error {
	var failed error
	for _, f := range slices.Backward(*u) {
		failed = errors.Join(failed, f())
	}
	return failed
}

// choose the rows, and fill in what the set decides.
func (o *options) choose(given func(string) bool) ([]row, error) {
	chosen, ok := sets[o.set]
	var out []row
	for _, r := range rows() {
		if ok && (len(o.rows) > 0 && slices.Contains(o.rows, r.id) || len(o.rows) == 0 && chosen.rows(&r)) {
			out = append(out, r)
		}
	}
	if len(out) == 0 || len(o.rows) > len(out) {
		return nil, fmt.Errorf("no such set or rows: %s %v (see list)", o.set, o.rows)
	}
	if o.set == "fs" && o.on == "" {
		return nil, errors.New("the set fs needs --on ext4 or --on xfs")
	}
	o.blocks, o.scale = cmp.Or(o.blocks, chosen.blocks), cmp.Or(o.scale, chosen.scale)
	if len(o.systems) == 0 {
		o.systems = chosen.systems
	}
	if chosen.loose && !given("pin") {
		o.pin = false
	}
	if o.rehearse {
		o.force, o.memory = true, -1
		if !given("scale") {
			o.scale = 0.01
		}
		if !given("blocks") {
			o.blocks = 1
		}
	}
	if _, err := exec.LookPath("cc"); err != nil { // then the one in Go is the limit
		o.systems = slices.DeleteFunc(slices.Clone(o.systems), func(id string) bool { return id == "null-c" })
		if o.set == "gate" {
			o.systems = append(o.systems, "null")
		}
	}
	return out, nil
}

// folder makes the run's folder, and a file system in it when one is asked for.
func (o *options) folder(undo *undoing) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "samsa-bench"); err != nil {
			return err
		}
		dir := o.dir
		undo.add(func() error { return os.RemoveAll(dir) })
	}
	if o.on == "" {
		return nil
	}
	size := min(40<<30, host.Free(o.dir)/10*8)
	m, err := host.NewMount(o.on, o.dir, size)
	if err != nil {
		return err
	}
	undo.add(m.Close)
	o.dir = m.Dir
	return nil
}

// lines are the limit lines that a run measures.
func (o *options) lines() []limit.Line {
	all := limit.Lines()
	if o.set == "gate" {
		all = slices.DeleteFunc(all, func(l limit.Line) bool { return l.ID != "L8" })
	}
	return all
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
	e.garbage = sync.OnceValues(func() (string, error) {
		bin := filepath.Join(e.dir, "samsa-garbage.bin")
		return bin, build(bin, "giouring,garbage")
	})
	if e.bin == "" {
		say("building samsa")
		e.bin = filepath.Join(o.dir, "samsa.bin")
		return e, build(e.bin, "giouring")
	}
	return e, nil
}

func build(bin, tags string) error {
	out, err := exec.Command("go", "build", "-tags", tags, "-ldflags=-checklinkname=0", "-o", bin, "./cmd/samsa").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building samsa: %w: %s", err, out)
	}
	return nil
}

// control changes kernel settings for the run and says which it could not.
func (o *options) control(undo *undoing, r *runner) (loose []string) {
	if o.rehearse {
		return []string{"anything: this is a rehearsal"}
	}
	r.set = new(host.Settings)
	undo.add(r.set.Restore)
	for _, s := range [][2]string{{"net/ipv4/tcp_congestion_control", "cubic"}, {"vm/dirty_background_ratio", "50"}, {"vm/dirty_ratio", "70"}} {
		if err := r.set.Set(s[0], s[1]); err != nil {
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
func (o *options) systemsOf(ctx context.Context, r *runner) error {
	for _, id := range o.systems {
		s, err := r.env.start(ctx, id)
		if err != nil {
			return err
		}
		r.systems = append(r.systems, s)
		r.say("%s serves on %s after %v, %d MiB resident", id, s.addr, s.took.Round(time.Millisecond), s.group.RSS()>>20)
		if strings.HasPrefix(id, "k") && !r.loose {
			r.say("warming %s", id)
			if err := warm(ctx, r, s); err != nil {
				return fmt.Errorf("warming %s: %w", id, err)
			}
		}
		if err := s.group.Freeze(); err != nil {
			return err
		}
	}
	return nil
}

// warm lets a JVM compile: small and large requests, reads and long polls.
func warm(ctx context.Context, r *runner, s *system) error {
	for i, w := range rows() {
		if !w.ci || w.flush || w.part > 0 {
			continue
		}
		one := &slot{ctx: ctx, sys: s, env: r.env, scale: r.scale, seed: uint64(i), topic: fmt.Sprintf("warm-%d", i), figures: map[string]float64{}}
		if err := errors.Join(w.run(one), one.remove()); err != nil {
			return err
		}
	}
	return nil
}

// carryOut runs the rows and writes result, table and plot.
func (o *options) carryOut(ctx context.Context, list []row, r *runner, loose []string) error {
	h := header{
		Commit: commit(), Date: time.Now().UTC().Format("2006-01-02"), Seed: o.seed, Set: o.set, Pinned: o.pin, Systems: o.systems, Rehearsal: o.rehearse, On: o.on,
		Scale: o.scale, Versions: o.versions(), Machine: host.Describe(o.dir), Measured: r.systems[0].group.How(), Uncontrolled: loose, Started: map[string]float64{},
	}
	for _, s := range r.systems {
		h.Started[s.id] = s.took.Seconds()
	}
	var buf bytes.Buffer
	f, err := o.result(h)
	if err != nil {
		return err
	}
	r.out = io.MultiWriter(f, &buf)
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
	if o.rehearse {
		var table strings.Builder
		res.print(&table)
		res.plot(io.Discard)
		r.say("%s", table.String())
	} else if err := o.publish(res, r.say); err != nil {
		return err
	}
	for _, s := range res.samples {
		if s.Failed != "" {
			return fmt.Errorf("%s of %s failed: %s", s.Row, s.Contender, s.Failed)
		}
	}
	if o.set == "gate" {
		return res.gate(o.gate, o.record && !o.rehearse, r.say)
	}
	return nil
}

// name of the result's files, without what tells them apart.
func (o *options) name(h header) string {
	name := filepath.Join(o.out, h.Date+"-"+o.set)
	if o.on != "" {
		name += "-" + o.on
	}
	return name
}

// result opens the file of raw lines; a rehearsal keeps none.
func (o *options) result(h header) (io.WriteCloser, error) {
	if o.rehearse {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return nil, err
	}
	return os.Create(o.name(h) + ".jsonl")
}

// publish writes the table and the plot beside the raw lines.
func (o *options) publish(res result, say func(string, ...any)) error {
	name := o.name(res.header)
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
	return errors.Join(md.Close(), svg.Close())
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// versions of the peers that take part, as their jars say, and of what runs them.
func (o *options) versions() []string {
	out := []string{runtime.Version()}
	for _, p := range [][2]string{{"k39", "kafka39"}, {"k4", "kafka4"}} {
		if !slices.ContainsFunc(o.systems, func(id string) bool { return strings.HasPrefix(id, p[0]) }) {
			continue
		}
		v, err := kafkaVersion(o.jars, p[1])
		if err != nil {
			v = err.Error()
		}
		out = append(out, "Kafka "+v)
	}
	if text, err := exec.Command("java", "-version").CombinedOutput(); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		out = append(out, line)
	}
	return out
}
