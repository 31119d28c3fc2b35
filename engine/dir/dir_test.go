// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// What was acknowledged before the power went is there after it, bytes and all.
func TestPowerCut(t *testing.T) {
	mem := memDir(t)
	r := newRig(t, mem)
	r.open()
	a, b := r.create(1, "orders", 0), r.create(2, "lines-of-orders", 7)
	for i := range 300 {
		r.append(a, records(3, fmt.Sprint("order ", i)), 0)
		if i%3 == 0 {
			r.append(b, records(i%7+1, fmt.Sprint("line ", i)), 0)
		}
		if i%50 == 0 {
			r.wait(a)
		}
	}
	r.wait(a)
	r.wait(b)
	wantA, wantB := r.content(a), r.content(b)
	for seed := range int64(10) {
		s := newRig(t, mem.CrashClone(seed))
		s.open()
		if got := s.content(s.logs["orders-0"]); !bytes.Equal(got, wantA) {
			t.Fatalf("seed %d: orders-0 has %d bytes, want %d; %+v %+v, start %d end %d of %d", seed, len(got), len(wantA), s.started, s.dropped, s.logs["orders-0"].Start(), s.logs["orders-0"].End(), a.End())
		}
		if got := s.content(s.logs["lines-of-orders-7"]); !bytes.Equal(got, wantB) {
			t.Fatalf("seed %d: lines-of-orders-7 has %d bytes, want %d", seed, len(got), len(wantB))
		}
		if got := s.logs["orders-0"]; got.DurableEnd() != got.End() || got.ID() != [16]byte{1} {
			t.Fatalf("durable end %d, end %d, id %x", got.DurableEnd(), got.End(), got.ID())
		}
		s.append(s.logs["orders-0"], records(1, "after"), 1)
		s.wait(s.logs["orders-0"])
		s.close(true)
		s.open()
		if !s.d.Clean() || s.started.Groups != 0 {
			t.Fatalf("after a clean stop: clean %v, %+v", s.d.Clean(), s.started)
		}
		if s.logs["orders-0"].End() != a.End()+1 {
			t.Fatalf("log end %d, want %d", s.logs["orders-0"].End(), a.End()+1)
		}
		s.close(true)
	}
	r.close(false)
}

// A clean stop leaves the mark and checkpoints that Kafka reads; the first
// thing after it is not a replay.
func TestCleanStop(t *testing.T) {
	mem := memDir(t)
	r := newRig(t, mem)
	r.open()
	r.d.SetHighWatermarks(func() map[Partition]int64 { return map[Partition]int64{{"t", 0}: 2} })
	r.append(r.create(1, "t", 0), records(5, "x"), 0)
	r.create(1, "t", 1)
	r.close(true)
	for name, want := range map[string]string{
		"/d/.kafka_cleanshutdown":             `{"version":0,"brokerEpoch":-1}`,
		"/d/recovery-point-offset-checkpoint": "0\n2\nt 0 5\nt 1 0\n",
		"/d/log-start-offset-checkpoint":      "0\n0\n",
		"/d/replication-offset-checkpoint":    "0\n1\nt 0 2\n",
		"/d/t-0/partition.metadata":           "version: 0\ntopic_id: AQAAAAAAAAAAAAAAAAAAAA",
	} {
		if got, err := readText(mem, name); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	if text, err := readText(mem, "/d/meta.properties"); err != nil || !strings.Contains(text, "cluster.id=test\nversion=0\nbroker.id=1\n") {
		t.Errorf("meta.properties is %q, %v", text, err)
	}
	entries, err := mem.ReadDir("/d")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), "t-") {
			t.Errorf("Kafka would refuse to start: directory %s", e.Name())
		}
	}
	d, err := Open(r.options())
	if err != nil {
		t.Fatal(err)
	}
	if hw, ok := d.HighWatermark("t", 0); !d.Clean() || d.foreign || !ok || hw != 2 || d.Found()[0].NeedsRecovery || !d.Found()[0].Known {
		t.Fatalf("reopened: clean %v, foreign %v, high watermark %d, %+v", d.Clean(), d.foreign, hw, d.Found())
	}
	if err := startDir(d); err != nil { // logs may come later
		t.Fatal(err)
	}
	if _, err := mem.Stat("/d/.kafka_cleanshutdown"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the mark is still there: %v", err)
	}
	l, err := d.Load(d.Found()[0], testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryAppend(l, records(1, "y"), 0); err != nil || l.End() != 6 {
		t.Fatalf("append after a late load: %v, end %d", err, l.End())
	}
	if err := waitDurable(l, 6); err != nil {
		t.Fatal(err)
	}
	s := newRig(t, mem.CrashClone(1))
	s.open()
	if got := s.logs["t-0"].End(); got != 6 {
		t.Fatalf("log end %d after a power cut behind a late load, want 6", got)
	}
	s.close(true)
	if err := d.Close(true); err != nil {
		t.Fatal(err)
	}
}

// recreation is what may be found when the power goes within TestRecreate.
type recreation struct {
	mu      sync.Mutex    // what the picture is taken of changes beside it
	ids     map[byte]bool // topic ids that may stand
	newest  *Log          // nil: nothing is promised
	on      bool
	cuts    int
	pending []recreated
}

// recreated is one picture, and what was promised then.
type recreated struct {
	clone   *vfs.Mem
	op      vfs.Op
	ids     map[byte]bool
	durable engine.Offset // of the newest
}

// watch takes several outcomes of a power cut at every operation.
func (x *recreation) watch(mem *vfs.Mem, op vfs.Op) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.on || !op.Kind.Changes() {
		return
	}
	x.cuts++
	s := recreated{op: op, ids: maps.Clone(x.ids)}
	if x.newest != nil {
		s.durable = x.newest.DurableEnd()
	}
	for outcome := range int64(4) {
		s.clone = mem.CrashClone(op.N + 1000*outcome)
		x.pending = append(x.pending, s)
	}
}

// check opens what the pictures so far show.
func (x *recreation) check(t *testing.T) {
	t.Helper()
	x.mu.Lock()
	pending := x.pending
	x.pending = nil
	x.mu.Unlock()
	for _, st := range pending {
		s := newRig(t, st.clone)
		s.change = func(o *Options) { o.JournalBytes = journalBytesMin }
		s.open()
		l := s.logs["t-0"]
		if l == nil {
			if st.durable > 0 {
				t.Fatalf("%+v: the log is gone with %d durable offsets", st.op, st.durable)
			}
			s.close(true)
			continue
		}
		id := l.ID()[0]
		if len(st.ids) > 0 && !st.ids[id] {
			t.Fatalf("%+v: topic %d stands, want one of %v", st.op, id, st.ids)
		}
		if b := s.content(l); bytes.Count(b, []byte("topic ")) != bytes.Count(b, fmt.Appendf(nil, "topic %d ", id)) {
			t.Fatalf("%+v: records of another topic under id %d", st.op, id)
		}
		if l.End() < st.durable {
			t.Fatalf("%+v: ends at %d, %d was durable", st.op, l.End(), st.durable)
		}
		s.close(true)
	}
}

// A deleted topic stays deleted and a new one of the same name shows nothing of
// it, wherever the power goes: at every operation that changes journal,
// segments, checkpoints or names, with checkpoints, rolls and batches that find
// no room on the way.
func TestRecreate(t *testing.T) {
	mem := memDir(t)
	x := &recreation{ids: map[byte]bool{}}
	r := newRig(t, vfs.Inject(mem, func(op vfs.Op) error { x.watch(mem, op); return nil }))
	r.change = func(o *Options) { o.Writer, o.JournalBytes = syncWriter{}, journalBytesMin }
	r.open()
	set := func(f func()) { x.mu.Lock(); f(); x.mu.Unlock(); x.check(t) }
	set(func() { x.on = true })
	for id := byte(1); id <= 4; id++ {
		set(func() { x.ids[id] = true })
		l := r.create(id, "t", 0)
		set(func() { x.ids, x.newest = map[byte]bool{id: true}, l })
		for i := range 20 {
			text := bytes.Repeat([]byte{'x'}, i*i*int(id)%5000)
			r.append(l, records(2, fmt.Sprintf("topic %d batch %d %s", id, i, text)), 0)
			x.check(t)
			if i%(6+int(id)) == 5 {
				if err := r.d.checkpoints.now(); err != nil {
					t.Fatal(err)
				}
				x.check(t)
			}
		}
		if id == 4 {
			break
		}
		set(func() { x.newest = nil })
		if err := r.d.Remove(l); err != nil {
			t.Fatal(err)
		}
		set(func() { x.ids = map[byte]bool{} })
	}
	set(func() { x.on = false })
	if x.cuts < 200 {
		t.Fatalf("only %d cuts", x.cuts)
	}
	t.Logf("the power went at %d operations", x.cuts)
	r.close(true)
}

// A truncation within a batch takes the batch whole, and S and the durable end
// come down to its base: what is appended there and acknowledged survives.
func TestTruncateWithinABatch(t *testing.T) {
	mem := memDir(t)
	r := newRig(t, mem)
	r.open()
	l := r.create(1, "t", 0)
	r.append(l, records(3, "before"), 0)
	r.append(l, records(10, "old"), 0)
	r.wait(l)
	if err := r.d.checkpoints.now(); err != nil {
		t.Fatal(err)
	}
	if err := l.TruncateTo(8); err != nil {
		t.Fatal(err)
	}
	if l.End() != 3 || l.DurableEnd() != 3 {
		t.Fatalf("end %d, durable end %d", l.End(), l.DurableEnd())
	}
	r.append(l, records(2, "new"), 1)
	r.wait(l)
	want := r.content(l)
	for seed := range int64(10) {
		s := newRig(t, mem.CrashClone(seed))
		s.open()
		if got := s.content(s.logs["t-0"]); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: ends at %d, %+v", seed, s.logs["t-0"].End(), s.started)
		}
		s.close(true)
	}
	r.close(false)
}

// syncWriter writes on the spot and completes on another goroutine.
type syncWriter struct{}

func (syncWriter) WriteDurable(f vfs.File, p []byte, off int64, done func(error)) {
	err := f.WriteDurableAt(p, off)
	go done(err)
}
