// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// Every operation of the disk fails once, with an I/O error and with a full
// disk: nothing that was acknowledged is lost, an I/O error that matters fences,
// and a full disk never does.
func TestFailEveryOperation(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for n := int64(1); ; n++ {
			if !failOne(t, cause, n) {
				if n < 60 {
					t.Fatalf("only %d operations", n)
				}
				break
			}
		}
	}
}

// failOne lets operation n fail; false: there are not as many.
func failOne(t *testing.T, cause error, n int64) bool {
	mem := memDir(t)
	var count atomic.Int64
	var kind vfs.OpKind
	hit := false
	var on atomic.Bool
	fsys := vfs.Inject(mem, func(op vfs.Op) error {
		if !on.Load() || !op.Kind.Changes() || count.Add(1) != n {
			return nil
		}
		if cause == syscall.ENOSPC && op.Kind != vfs.OpWrite && op.Kind != vfs.OpWriteDurable {
			return nil // a sync that says so is an I/O error
		}
		hit, kind = true, op.Kind
		return cause
	})
	r := newRig(t, fsys)
	r.change = func(o *Options) { o.Writer = syncWriter{} }
	r.open()
	on.Store(true)
	acked := map[string]engine.Offset{}
	work(r, acked)
	on.Store(false)
	fenced := r.d.Err()
	_ = r.d.Close(fenced == nil) // says the error again
	if cause == syscall.ENOSPC && fenced != nil {
		t.Fatalf("operation %d (%v): a full disk fenced: %v", n, kind, fenced)
	}
	for seed := range int64(2) {
		s := newRig(t, mem.CrashClone(n*2+seed))
		if err := s.tryOpen(); err != nil {
			t.Fatalf("operation %d (%v, %v): %v", n, kind, cause, err)
		}
		for name, end := range acked {
			if l := s.logs[name]; l == nil || l.End() < end {
				t.Fatalf("operation %d (%v, %v): %s lost acknowledged records below %d", n, kind, cause, name, end)
			}
		}
		s.close(true)
	}
	return hit || count.Load() >= n
}

// work does a bit of everything and notes what was acknowledged.
func work(r *rig, acked map[string]engine.Offset) {
	for i := range 3 {
		l, err := r.d.Create([16]byte{byte(i + 1)}, "t", int32(i), testConfig())
		if err != nil {
			continue
		}
		for k := range 6 {
			if _, err := tryAppend(l, records(2, fmt.Sprintf("%d %s", k, bytes.Repeat([]byte("y"), 3000))), 0); err != nil {
				if errors.Is(err, ErrFenced) {
					return
				}
				continue
			}
			if waitDurable(l, l.End()) == nil {
				acked[l.Name()] = l.DurableEnd()
			}
		}
		if i == 1 {
			_ = r.d.checkpoints.now() // may fail: that is the test
		}
	}
}

// Writing to a log allocates nothing, the copy into the journal included.
func TestWriteAllocatesNothing(t *testing.T) {
	mem := memDir(t)
	r := newRig(t, mem)
	free := make(chan func(error), 1)
	r.open()
	l := r.create(1, "t", 0)
	r.wait(l)
	r.close(true)
	r.change = func(o *Options) {
		o.Writer = hold{free}
		o.JournalBytes = 16 << 20
		o.FS = nowhere{mem}
	}
	d, err := Open(r.options())
	if err != nil {
		t.Fatal(err)
	}
	c := *testConfig()
	c.SegmentBytes = 1 << 30
	l, err = d.Load(d.Found()[0], &c)
	if err != nil {
		t.Fatal(err)
	}
	if err := startDir(d, l); err != nil {
		t.Fatal(err)
	}
	b := records(1, "value")
	a := &engine.Append{Origin: engine.Client, Batches: b}
	allocs := testing.AllocsPerRun(2000, func() {
		a.Err = nil
		if err := l.Stage(a); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Write(); err != nil {
			t.Fatal(err)
		}
		select {
		case done := <-free:
			done(nil)
		default:
		}
	})
	if allocs > 0.02 { // an index tail grows now and then
		t.Fatalf("%v allocations a write", allocs)
	}
}

// hold keeps the completion for the test.
type hold struct{ free chan func(error) }

func (w hold) WriteDurable(_ vfs.File, _ []byte, _ int64, done func(error)) { w.free <- done }

// nowhere takes writes to segments without keeping them: Mem remembers each
// one, which allocates.
type nowhere struct{ vfs.FS }

func (n nowhere) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := n.FS.OpenFile(name, flag, perm)
	if err != nil || !bytes.HasSuffix([]byte(name), []byte(".log")) {
		return f, err
	}
	return nowhereFile{f}, nil
}

type nowhereFile struct{ vfs.File }

func (nowhereFile) WritevAt(bufs [][]byte, _ int64) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	return n, nil
}
