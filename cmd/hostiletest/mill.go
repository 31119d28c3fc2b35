// SPDX-License-Identifier: Apache-2.0

package hostiletest

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// Mill is a fuzz target's F that can run the target by itself.
type Mill struct {
	*testing.F
	seeds [][]any
}

// New wraps a target's F.
func New(f *testing.F) *Mill { return &Mill{F: f} }

// Add adds a seed, as testing.F does.
func (m *Mill) Add(args ...any) {
	m.seeds = append(m.seeds, args)
	m.F.Add(args...)
}

// What the mill gives up at: no decoder takes that long or that much for one
// input, whatever it is.
const (
	stuckAfter = 60 * time.Second
	heapMost   = 1 << 30
)

// Fuzz is testing.F's Fuzz. When SAMSA_FUZZ_RUNS is set the target runs that
// often over mutated seeds (for SAMSA_FUZZ_SECONDS at most, SAMSA_FUZZ_SEED
// says from which seed), within the subtest of its first seed.
func (m *Mill) Fuzz(target any) {
	runs, _ := strconv.ParseUint(os.Getenv("SAMSA_FUZZ_RUNS"), 10, 64)
	if runs == 0 {
		m.F.Fuzz(target)
		return
	}
	corpus, err := readCorpus(filepath.Join("testdata", "fuzz", m.Name()), reflect.TypeOf(target))
	if err != nil {
		m.Fatal(err)
	}
	once := new(atomic.Bool)
	fn := reflect.ValueOf(target)
	m.F.Fuzz(reflect.MakeFunc(fn.Type(), func(args []reflect.Value) []reflect.Value {
		fn.Call(args)
		if t := args[0].Interface().(*testing.T); once.CompareAndSwap(false, true) {
			newRun(m.Name(), fn, append(m.seeds, corpus...)).grind(t, runs)
		}
		return nil
	}).Interface())
}

// run is one target being run.
type run struct {
	name    string
	fn      reflect.Value
	bytes   func(*testing.T, []byte) // fn, when it is one
	seed    uint64
	mutator *mutator
	args    []reflect.Value
	done    atomic.Uint64
}

func newRun(name string, fn reflect.Value, seeds [][]any) *run {
	seed, err := strconv.ParseUint(os.Getenv("SAMSA_FUZZ_SEED"), 10, 64)
	if err != nil {
		seed = 1
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	r := &run{name: name, fn: fn, seed: seed, mutator: newMutator(seed, h.Sum64(), seeds)}
	r.bytes, _ = fn.Interface().(func(*testing.T, []byte))
	r.args = make([]reflect.Value, fn.Type().NumIn())
	return r
}

// grind runs the target and says how often.
func (r *run) grind(t *testing.T, runs uint64) {
	most := time.Duration(1 << 62)
	if s, err := strconv.Atoi(os.Getenv("SAMSA_FUZZ_SECONDS")); err == nil {
		most = time.Duration(s) * time.Second
	}
	began := time.Now()
	stop := make(chan struct{})
	defer close(stop)
	go r.watch(stop)
	defer func() { // the target fails by Fatal or by a panic, both of which come by here
		why := recover()
		n, took := r.done.Load(), time.Since(began)
		fmt.Printf("mill %s: %d executions in %.1f s, seed %d\n", r.name, n, took.Seconds(), r.seed)
		if why != nil || t.Failed() {
			name, err := r.keep()
			t.Logf("the input is left in %s (%v)", name, err)
		}
		if why != nil {
			t.Fatalf("panic: %v\n%s", why, debug.Stack())
		}
	}()
	covered := 0.0
	for n := uint64(0); n < runs && !t.Failed(); n++ {
		if n%256 == 0 && time.Since(began) > most {
			break
		}
		r.one(t)
		r.done.Store(n + 1)
		if os.Getenv("SAMSA_FUZZ_GROW") != "" {
			covered = r.grow(t, covered)
		}
	}
}

// grow keeps an input that reached code which none before it had reached, in
// the target's corpus and among those to go on from.
func (r *run) grow(t *testing.T, covered float64) float64 {
	c := testing.Coverage()
	if c <= covered {
		return covered
	}
	if covered > 0 { // the first is compared with the seeds alone
		if _, err := r.keep(); err != nil {
			t.Fatal(err)
		}
		r.mutator.remember()
	}
	return c
}

func (r *run) one(t *testing.T) {
	args := r.mutator.next()
	if r.bytes != nil {
		r.bytes(t, args[0].([]byte))
		return
	}
	r.args[0] = reflect.ValueOf(t)
	for i, a := range args {
		r.args[i+1] = reflect.ValueOf(a)
	}
	r.fn.Call(r.args)
}

// keep writes the input that was being run where go test finds it.
func (r *run) keep() (string, error) {
	text := encodeCorpus(r.mutator.shown())
	h := fnv.New64a()
	_, _ = h.Write(text)
	dir := filepath.Join("testdata", "fuzz", r.name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return dir, err
	}
	name := filepath.Join(dir, fmt.Sprintf("%016x", h.Sum64()))
	return name, os.WriteFile(name, text, 0o666)
}

// watch ends the process when an input runs for too long or takes too much: the
// stack of the target, which is printed then, says where.
func (r *run) watch(stop chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last, since := r.done.Load(), time.Now()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if n := r.done.Load(); n != last {
			last, since = n, time.Now()
		}
		heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(heap)
		if why := heap[0].Value.Uint64() > heapMost; why || time.Since(since) > stuckAfter {
			name, err := r.keep()
			stacks := make([]byte, 1<<20)
			fmt.Printf("mill %s: execution %d is stuck for %v, heap %d MiB; the input is left in %s (%v)\n%s\n", r.name, last+1,
				time.Since(since), heap[0].Value.Uint64()>>20, name, err, stacks[:runtime.Stack(stacks, true)])
			os.Exit(1)
		}
	}
}
