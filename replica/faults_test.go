// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// disk is a memory disk that can be told to fail or to be slow.
type disk struct {
	mem    *vfs.Mem
	count  atomic.Int64 // operations that change something, while armed
	armed  atomic.Bool
	failAt int64 // that one fails, and for a full disk those after it
	err    error
	slow   atomic.Pointer[string] // writes into segments below this path are slow
	gate   chan struct{}          // a slow write waits for one of these
}

func (d *disk) before(op vfs.Op) error {
	if s := d.slow.Load(); s != nil && op.Kind == vfs.OpWrite && strings.HasPrefix(op.Name, *s) && strings.HasSuffix(op.Name, ".log") {
		<-d.gate
	}
	if !d.armed.Load() || !op.Kind.Changes() {
		return nil
	}
	n := d.count.Add(1)
	switch {
	case vfs.IsNoSpace(d.err) && n >= d.failAt && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpWriteDurable):
		return &vfs.ShortWrite{Written: op.Len / 3, Err: d.err}
	case !vfs.IsNoSpace(d.err) && n == d.failAt:
		return d.err
	}
	return nil
}

// An I/O error at the n-th operation, for every n until none is met: every
// append is answered once, with success or ErrStorage; once the directory is
// fenced its partitions are offline for appends and reads, those of the other
// directory are not; what was acknowledged survives a power cut.
func TestEveryIOError(t *testing.T) {
	met := 0
	for n := int64(1); ; n += step() {
		d := &disk{mem: vfs.NewMem(), failAt: n, err: syscall.EIO}
		w := newWorld(t, worldOptions{fs: vfs.Inject(d.mem, d.before), dirs: 2, loops: 2})
		parts := []*Partition{w.lead(0), w.lead(1), w.lead(2), w.lead(3)}
		d.armed.Store(true)
		acked, failed := w.hammer(parts, 3, 8, func(err error) bool { return errors.Is(err, ErrStorage) })
		d.armed.Store(false)
		fenced := 0
		for _, x := range w.dirs {
			if x.Err() != nil {
				fenced++
			}
		}
		if failed > 0 && fenced != 1 {
			t.Fatalf("n=%d: %d appends failed, %d directories are fenced", n, failed, fenced)
		}
		for _, p := range parts {
			broken := p.Dir().Err() != nil
			part := w.append1(p, AcksAll, "after")
			if broken != errors.Is(part.Err, ErrStorage) || !broken && part.Err != nil {
				t.Fatalf("n=%d: append after it, fenced %v: %v", n, broken, part.Err)
			}
			r := &ReadRequest{MaxBytes: 1000, Replica: Consumer, Parts: []ReadPart{{Partition: p, LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1000}}}
			w.set.Read(r)
			if r.Release(); broken != errors.Is(r.Parts[0].Err, ErrStorage) {
				t.Fatalf("n=%d: read after it, fenced %v: %v", n, broken, r.Parts[0].Err)
			}
		}
		w.survives(t, d.mem, parts, acked, fmt.Sprint("n=", n))
		if d.count.Load() < n {
			break
		}
		met++
	}
	if met == 0 {
		t.Fatal("no operation failed")
	}
}

func step() int64 {
	if testing.Short() {
		return 7
	}
	return 1
}

// A full disk at every fifth operation and ever after, until there is room again:
// appends fail with ErrStorage or wait, nothing is fenced, reads go on, and
// afterwards appends go on where they were.
func TestEveryFullDisk(t *testing.T) {
	met := 0
	for n := int64(1); ; n += 5 * step() { // the journal takes its time before it tries again
		d := &disk{mem: vfs.NewMem(), failAt: n, err: syscall.ENOSPC}
		w := newWorld(t, worldOptions{fs: vfs.Inject(d.mem, d.before), loops: 2})
		parts := []*Partition{w.lead(0), w.lead(1)}
		d.armed.Store(true)
		relief := make(chan struct{})
		go func() { // what the journal has taken waits for room: there will be some
			again := time.NewTicker(time.Millisecond)
			defer again.Stop()
			for deadline := time.Now().Add(3 * time.Second); d.count.Load() < n+20 && time.Now().Before(deadline); {
				select {
				case <-relief:
					return
				case <-again.C:
				}
			}
			d.armed.Store(false)
		}()
		acked, _ := w.hammer(parts, 2, 6, func(err error) bool { return errors.Is(err, ErrStorage) })
		close(relief)
		reached := d.count.Load() >= n
		d.armed.Store(false)
		if err := w.dirs[0].Err(); err != nil {
			t.Fatalf("n=%d: a full disk fenced the directory: %v", n, err)
		}
		for _, p := range parts {
			if part := w.append1(p, AcksAll, "after/000001", "after/000001+"); part.Err != nil {
				t.Fatalf("n=%d: append with room: %v", n, part.Err)
			}
			w.check(p, acked[p])
		}
		w.survives(t, d.mem, parts, acked, fmt.Sprint("n=", n))
		if !reached {
			break
		}
		met++
	}
	if met == 0 {
		t.Fatal("no operation found no room")
	}
}

// survives cuts the power and checks what was acknowledged at acks 1 and all.
func (w *world) survives(t *testing.T, mem *vfs.Mem, parts []*Partition, acked map[*Partition]map[engine.Offset]string, what string) {
	t.Helper()
	left, durable := mem.CrashClone(int64(len(what))), w.durableAcks
	w.stop(false)
	next, again := w.again(left, worldOptions{dirs: len(w.dirs)}, len(parts))
	defer next.stop(false)
	for i, p := range again {
		if err := p.Await(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		at := map[engine.Offset]string{}
		for _, r := range next.readAll(p, 0) {
			at[r.offset] = r.value
		}
		for base, v := range acked[parts[i]] {
			if durable[v] && at[base] != v {
				t.Fatalf("%s: %v: acknowledged %.20q is not at %d, but %.20q", what, p.ID(), v, base, at[base])
			}
		}
	}
}

// A directory whose writes hang takes its turns off the loops: partitions of
// the other directory are served by the same loop meanwhile, and what hangs is
// answered when it is through.
func TestSlowDirectoryKeepsToItself(t *testing.T) {
	d := &disk{mem: vfs.NewMem(), gate: make(chan struct{})}
	w := newWorld(t, worldOptions{fs: vfs.Inject(d.mem, d.before), dirs: 2})
	slow, fast := w.lead(0), w.lead(1)
	if slow.Dir() == fast.Dir() {
		t.Fatal("both in one directory")
	}
	w.fill(1, slow, fast)
	path := slow.Dir().Path() + "/"
	d.slow.Store(&path)
	go func() { // the first slow write is met on the loop: it teaches
		timer := time.NewTimer(5 * time.Millisecond)
		<-timer.C
		d.gate <- struct{}{}
	}()
	w.append1(slow, AcksNone, "teacher")
	if !slow.Dir().Slow() {
		t.Fatal("an append that hung did not make its directory slow")
	}
	var answers sync.WaitGroup
	var requests [20]AppendRequest
	for i := range requests {
		answers.Add(1)
		requests[i] = AppendRequest{Home: w.loops[0], Acks: AcksAll, Done: funcTask(answers.Done),
			Parts: []AppendPart{{Partition: slow, Batches: newBatch([]byte("hanging"))}}}
		w.loops[0].Post(funcTask(func() { w.set.Append(&requests[i]) }))
	}
	w.fill(50, fast) // the same loop serves the other directory
	if slow.HighWatermark() > 2 {
		t.Fatal("nothing hung")
	}
	close(d.gate)
	done := make(chan struct{})
	go func() { answers.Wait(); close(done) }()
	within(t, "the answers of the slow directory", done)
	for i := range requests {
		if requests[i].Parts[0].Err != nil {
			t.Fatal(requests[i].Parts[0].Err)
		}
	}
}
