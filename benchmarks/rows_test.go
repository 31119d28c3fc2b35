// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/host"
	"github.com/samsa-broker/samsa/benchmarks/load"
	"github.com/samsa-broker/samsa/benchmarks/null"
)

// The null broker of a run is this program: of a test's run, the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "null" {
		main()
		return
	}
	os.Exit(m.Run())
}

// nullSystem serves the null broker within the test.
func nullSystem(t *testing.T) *system {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := host.NewGroup("rowtest", "")
	if err != nil {
		t.Fatal(err)
	}
	s := &system{id: "null", name: "null", addr: ln.Addr().String(), dir: t.TempDir(), group: g}
	t.Cleanup(func() {
		_ = ln.Close()
		s.stop()
	})
	b := null.New(s.dir)
	go func() { _ = b.Serve(ln) }() // ends with the listener
	return s
}

// unserved are the rows that ask for more than the null broker does; they run
// against it as nothing.
var unserved = map[string]bool{"W4": true, "W4z": true, "W10": true, "W14": true, "W15": true, "W15c": true, "W15k": true, "W20": true, "W20r": true, "W20g": true}

// Every row that the null broker is a limit of runs to its end and leaves the
// figures that it names.
func TestRowsAgainstTheNullBroker(t *testing.T) {
	sys := nullSystem(t)
	r := &runner{systems: []*system{sys}}
	for _, w := range rows() {
		if len(r.contenders(&w)) == 0 {
			continue
		}
		t.Run(w.id, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := &slot{ctx: ctx, sys: sys, scale: 0.002, seed: 1, topic: "test-" + w.id, most: 20_000, part: w.part, figures: map[string]float64{}}
			if err := w.run(s); err != nil {
				t.Fatal(err)
			}
			for _, f := range w.figures {
				v, ok := s.figures[f.name]
				switch {
				case ok == unserved[w.id]:
					t.Errorf("%s is there: %v", f.name, ok)
				case ok && (math.IsNaN(v) || v < 0): // costs nothing: its broker is this process
					t.Errorf("%s is %v", f.name, v)
				}
			}
		})
	}
}

// The meter counts from due to seen, whichever of ack and reader comes first,
// batch by batch, and nothing after its stop.
func TestMeter(t *testing.T) {
	m := newMeter(load.Shape{Records: 2})
	at := time.Now()
	m.sent(0, 0, at)
	m.saw(0, 0, 4, at.Add(100*time.Microsecond))
	if n := m.counts.TotalCount(); n != 1 {
		t.Fatalf("%d counted: the second batch has no ack yet", n)
	}
	m.sent(0, 2, at.Add(60*time.Microsecond))
	if n, least := m.counts.TotalCount(), m.counts.Min(); n != 2 || least != 40 {
		t.Errorf("%d counted, the least %d µs, want 2 and 40", n, least)
	}
	m.stop()
	m.sent(1, 0, at)
	m.saw(1, 0, 2, at.Add(time.Second))
	if n := m.counts.TotalCount(); n != 2 || m.at(100) > 101 {
		t.Errorf("%d counted, the most %v µs: what came after the stop counts", n, m.at(100))
	}
}

// watcher sees what a run says.
type watcher func(text string)

func (w watcher) Write(b []byte) (int, error) {
	w(string(b))
	return len(b), nil
}

func testOptions(t *testing.T) options {
	return options{set: "full", rows: []string{"W1", "W8", "W9"}, systems: []string{"null"}, bin: "none", scale: 0.001, blocks: 1, seed: 1, memory: -1, force: true,
		dir: t.TempDir(), out: filepath.Join(t.TempDir(), "results")}
}

func nothingGiven(string) bool { return true }

// A rehearsal goes through everything, says what it is, and writes no result.
func TestRehearsal(t *testing.T) {
	o := testOptions(t)
	o.rehearse, o.rows = true, []string{"W1", "W8"}
	var said strings.Builder
	if err := o.run(t.Context(), &said, nothingGiven); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if !strings.Contains(said.String(), rehearsal) || !strings.Contains(said.String(), "| L3 |") {
		t.Errorf("it says:\n%s", said.String())
	}
	if _, err := os.Stat(o.out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it wrote %s: %v", o.out, err)
	}
}

// An interrupted run puts the kernel's settings back and ends its brokers.
func TestInterruptRestores(t *testing.T) {
	const name = "/proc/sys/vm/dirty_ratio"
	read := func() string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	before := read()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	addr, during := "", ""
	o := testOptions(t)
	err := o.run(ctx, watcher(func(text string) {
		if _, rest, ok := strings.Cut(text, "null serves on "); ok {
			addr, _, _ = strings.Cut(rest, " ")
		}
		if strings.Contains(text, machine) && during == "" {
			during = read()
			cancel()
		}
	}), nothingGiven)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the run ends with %v", err)
	}
	if during != "70" && os.Geteuid() == 0 {
		t.Errorf("the run measures with %s", during)
	}
	if after := read(); after != before {
		t.Errorf("%s is %s, was %s", name, after, before)
	}
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = c.Close()
		t.Errorf("the broker on %s is still there", addr)
	}
}

// gateRun is a run of the gate whose W1 costs so much, beside a null broker that
// costs 1.
func gateRun(t *testing.T, costs ...float64) result {
	t.Helper()
	text := bytes.NewBufferString(`{"commit":"abc","date":"2026-11-29","set":"gate","systems":["samsa","null-c"]}` + "\n")
	for _, c := range costs {
		for _, s := range []sample{{Row: "W1", Contender: "samsa", Figures: map[string]float64{"broker CPU": c}}, {Row: "W1", Contender: "null-c", Figures: map[string]float64{"broker CPU": 1}}} {
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(append(b, '\n'))
		}
	}
	r, err := readResult(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The gate shuts when a part of the limit falls by more than a tenth, when it
// cannot tell, and when nothing was recorded; it never records noise.
func TestGate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gate.json")
	quiet := func(string, ...any) {}
	good, noisy := gateRun(t, 2, 2.02, 1.98, 2), gateRun(t, 2, 3, 1, 2.5)
	if err := good.gate(file, false, quiet); !errors.Is(err, errGate) {
		t.Errorf("with nothing recorded: %v", err)
	}
	if err := noisy.gate(file, true, quiet); err == nil {
		t.Error("noise was recorded")
	}
	if err := good.gate(file, true, quiet); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		run  result
		shut bool
	}{{"the same", good, false}, {"5 % worse", gateRun(t, 2.1, 2.1), false}, {"20 % worse", gateRun(t, 2.4, 2.41), true}, {"noise", noisy, true}, {"nothing", gateRun(t), true}} {
		if err := c.run.gate(file, false, quiet); errors.Is(err, errGate) != c.shut {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A row of the gate that is too noisy is void and carried out again.
func TestNoisyRowIsRepeated(t *testing.T) {
	sys := nullSystem(t)
	costs := []float64{1, 2, 1, 1} // the first two are noisy
	w := rowOf("W1")
	w.run = func(s *slot) error {
		s.figures["broker CPU"], costs = costs[0], costs[1:]
		return nil
	}
	var out bytes.Buffer
	out.WriteString("{}\n")
	r := &runner{systems: []*system{sys}, blocks: 2, loose: true, noisy: gateSpread, out: &out, say: func(string, ...any) {}, env: &environment{}}
	r.began = time.Now()
	if err := r.quietRow(t.Context(), &w, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	res, err := readResult(&out)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.of("W1", "null", "broker CPU"); len(costs) != 0 || len(got) != 2 || got[0] != 1 || got[1] != 1 {
		t.Errorf("%v count, %v were not asked for", got, costs)
	}
}

// The README's block is made once and replaced from then on.
func TestPlotIntoReadme(t *testing.T) {
	dir := t.TempDir()
	readme := filepath.Join(dir, "README.md")
	results := filepath.Join(dir, "results")
	if err := errors.Join(os.Mkdir(results, 0o755), os.WriteFile(readme, []byte("# Title\n"), 0o644),
		os.WriteFile(filepath.Join(results, "2026-11-29-ci.jsonl"), []byte(written), 0o644),
		os.WriteFile(filepath.Join(results, "2026-11-30-gate.jsonl"), []byte(`{"date":"2026-11-30","systems":["samsa"]}`+"\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	var first []byte
	for range 2 {
		cmd := plotCommand()
		cmd.SetArgs([]string{"--results", results, "--readme", readme, "--svg", filepath.Join(dir, "plot.svg")})
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(readme)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# Title\n") || strings.Count(string(text), "k4+flush") != 2 || !strings.Contains(string(text), "(plot.svg)") {
			t.Errorf("the README is\n%s", text)
		}
		if first == nil {
			first = text
		}
		if !bytes.Equal(first, text) {
			t.Errorf("a second time makes another README:\n%s", text)
		}
	}
}
