// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

const testFile = 1 << 20

// testBatch is a batch as far as the journal looks at one.
func testBatch(base int64, records, size int) batch.Batch {
	b := make([]byte, batch.HeaderSize+size)
	binary.BigEndian.PutUint64(b[0:], uint64(base))
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batch.HeadSize))
	binary.BigEndian.PutUint32(b[12:], 7) // leader epoch
	b[16] = 2
	binary.BigEndian.PutUint32(b[17:], rand.Uint32())
	binary.BigEndian.PutUint32(b[23:], uint32(records-1))
	for i := batch.HeaderSize; i < len(b); i++ {
		b[i] = byte(i) ^ byte(base)
	}
	return b
}

// rig is a journal in memory and what a checkpoint of its first moment says.
type rig struct {
	fs vfs.FS
	j  *Journal
	c  *Checkpoint
}

func newRig(t *testing.T, fsys vfs.FS, change func(*Options)) *rig {
	t.Helper()
	if err := fsys.Mkdir("/d"); err != nil {
		t.Fatal(err)
	}
	if err := fsys.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(fsys, "/d", testFile); err != nil {
		t.Fatal(err)
	}
	o := Options{FS: fsys, Dir: "/d", ID: ID{1, 2, 3}, FileBytes: testFile}
	if change != nil {
		change(&o)
	}
	j, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{fs: fsys, j: j, c: &Checkpoint{Journal: o.ID, GroupSequence: 1, GroupMax: FirstGroup, FileBytes: o.FileBytes}}
}

func (r *rig) scan(t *testing.T, fsys vfs.FS) ([]Entry, Scanned) {
	t.Helper()
	var out []Entry
	s, err := Scan(fsys, "/d", r.c, func(_ uint64, e *Entry) error {
		c := *e
		c.Data = append([]byte(nil), e.Data...)
		out = append(out, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, s
}

func place(t *testing.T, r *rig, tail *Tail, b batch.Batch, end int64) {
	t.Helper()
	r.j.Place(tail, b, end)
	r.j.Kick()
}

// Many turns place batches side by side; every one of them comes back, per log
// in order, and Durable never runs ahead of what a power cut would leave.
func TestPlaceSideBySide(t *testing.T) {
	fsys := vfs.NewMem()
	r := newRig(t, fsys, nil)
	const logs, batches = 8, 200
	var wg sync.WaitGroup
	tails := make([]*Tail, logs)
	for i := range tails {
		tails[i] = &Tail{Log: LogID{Topic: [16]byte{byte(i)}, Creation: uint64(i), Partition: int32(i)}}
		wg.Go(func() {
			for n := range int64(batches) {
				place(t, r, tails[i], testBatch(n*3, 3, int(n)), n*3)
				if n%50 == 0 {
					if err := r.j.Wait(tails[i]); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, tail := range tails {
		if err := r.j.Wait(tail); err != nil {
			t.Fatal(err)
		}
		if got := tail.Durable(); got != batches*3 {
			t.Fatalf("durable end %d, want %d", got, batches*3)
		}
	}
	entries, s := r.scan(t, fsys.CrashClone(1))
	next := map[uint64]int64{}
	for i, e := range entries {
		if e.Kind != KindBatch || e.Base != next[e.Log.Creation] || e.End != e.Base || e.Last != e.Base+2 || e.Epoch != 7 {
			t.Fatalf("entry %d is %+v, want base %d", i, e, next[e.Log.Creation])
		}
		if b := batch.Batch(e.Data); b.CRC() != e.CRC || b.Size() != len(b) {
			t.Fatalf("entry %d: crc or size is not the batch's", i)
		}
		next[e.Log.Creation] += 3
	}
	if len(entries) != logs*batches || s.Torn || len(s.Gaps) != 0 {
		t.Fatalf("%d entries, %+v", len(entries), s)
	}
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
}

// A batch larger than half a file is named, not copied, and the group that
// names it is not written before its segment was synced.
func TestPlaceTooLarge(t *testing.T) {
	fsys := vfs.NewMem()
	r := newRig(t, fsys, nil)
	synced := make(chan struct{})
	tail := &Tail{Sync: func() error { <-synced; return nil }}
	place(t, r, tail, testBatch(0, 10, testFile/2+1), 0)
	place(t, r, tail, testBatch(10, 1, 10), 10)
	if got := tail.Durable(); got != 0 {
		t.Fatalf("durable end %d before the segment was synced", got)
	}
	close(synced)
	if err := r.j.Wait(tail); err != nil {
		t.Fatal(err)
	}
	entries, _ := r.scan(t, fsys.CrashClone(1))
	if len(entries) != 2 || entries[0].Kind != KindSynced || entries[0].Base != 0 || entries[0].Last != 9 || entries[1].Base != 10 {
		t.Fatalf("entries %+v", entries)
	}
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
}

// The four files are used again and again, never beyond what was released, and
// a full journal goes on when a checkpoint releases it.
func TestFilesAreRecycled(t *testing.T) {
	fsys := vfs.NewMem()
	sealed := make(chan struct{}, 1000)
	r := newRig(t, fsys, func(o *Options) {
		o.Events.Sealed = func() { sealed <- struct{}{} }
	})
	tail := &Tail{}
	end, released := int64(0), 0
	for end < 400 {
		place(t, r, tail, testBatch(end, 1, 50_000), end)
		end++
		for deadline := time.Now().Add(10 * time.Second); tail.Durable() < end; {
			if time.Now().After(deadline) {
				t.Fatalf("stuck at %d of %d", tail.Durable(), end)
			}
			select {
			case <-sealed:
				pos, seq, most := r.j.Durable()
				r.c.Position, r.c.GroupSequence, r.c.GroupMax = pos, seq, most
				r.j.Release(pos)
				released++
			default:
			}
		}
	}
	if pos, _, _ := r.j.Durable(); pos < 4*Files*testFile || released < 10 {
		t.Fatalf("position %d after %d releases: the files did not go round", pos, released)
	}
	from := r.c.GroupSequence
	entries, s := r.scan(t, fsys.CrashClone(1))
	if len(s.Gaps) != 0 || s.Torn || len(entries) == 0 || entries[len(entries)-1].Last != end-1 {
		t.Fatalf("%d entries behind group %d, %+v", len(entries), from, s)
	}
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
}

// A disk error breaks the journal: nothing placed since counts, and later
// successes change nothing. A full disk does not.
func TestWriteErrors(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprint("full=", full), func(t *testing.T) {
			mem := vfs.NewMem()
			var mu sync.Mutex
			failing := true
			fsys := vfs.Inject(mem, func(op vfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if op.Kind != vfs.OpWriteDurable || !failing {
					return nil
				}
				if full {
					failing = false
					return errNoSpace
				}
				return errDisk
			})
			broken := make(chan error, 10)
			r := newRig(t, fsys, func(o *Options) { o.Events.Broken = func(err error) { broken <- err } })
			tail := &Tail{}
			place(t, r, tail, testBatch(0, 1, 10), 0)
			err := r.j.Wait(tail)
			if full {
				if err != nil || tail.Durable() != 1 {
					t.Fatalf("after space came back: %v, durable end %d", err, tail.Durable())
				}
			} else {
				<-broken
				if err == nil || tail.Durable() != 0 {
					t.Fatalf("broken journal: %v, durable end %d", err, tail.Durable())
				}
				mu.Lock()
				failing = false
				mu.Unlock()
				place(t, r, tail, testBatch(1, 1, 10), 1)
				if err := r.j.Wait(tail); err == nil || tail.Durable() != 0 {
					t.Fatalf("a broken journal went on: %v, durable end %d", err, tail.Durable())
				}
			}
			_ = r.j.Close() // reports the disk error again
		})
	}
}

// Close does not wait for room on a full disk. A write that succeeds after it
// begins nothing: no sync of what was placed behind it, no further write.
func TestNothingBeginsAfterClose(t *testing.T) {
	release := make(chan func(error), 1)
	r := newRig(t, vfs.NewMem(), func(o *Options) { o.Writer = heldWriter{release} })
	var synced atomic.Bool
	tail := &Tail{Sync: func() error { synced.Store(true); return nil }}
	place(t, r, tail, testBatch(0, 1, 10), 0)
	done := <-release
	place(t, r, tail, testBatch(1, 1, testFile/2+1), 1)
	done(errNoSpace)
	done = <-release // it is tried again
	if err := r.j.Close(); !errors.Is(err, ErrLater) {
		t.Fatalf("close says %v", err)
	}
	done(nil)
	r.j.wg.Wait()
	if synced.Load() || len(release) != 0 || tail.Durable() != 1 {
		t.Fatalf("synced %v, %d writes, durable end %d", synced.Load(), len(release), tail.Durable())
	}
}

// Placing allocates nothing once it runs.
func TestPlaceAllocatesNothing(t *testing.T) {
	fsys := vfs.NewMem()
	release := make(chan func(error), 1)
	r := newRig(t, fsys, func(o *Options) { o.Writer = heldWriter{release} })
	tails := []*Tail{{}, {}, {}}
	b := testBatch(0, 1, 100)
	end := int64(0)
	allocs := testing.AllocsPerRun(1000, func() {
		for _, tail := range tails {
			r.j.Place(tail, b, end)
			r.j.Kick()
		}
		end++
		select {
		case done := <-release:
			done(nil)
		default:
		}
	})
	if allocs != 0 {
		t.Fatalf("%v allocations for three batches", allocs)
	}
}

// heldWriter keeps the completion for the test.
type heldWriter struct{ done chan func(error) }

func (w heldWriter) WriteDurable(_ vfs.File, _ []byte, _ int64, done func(error)) { w.done <- done }
