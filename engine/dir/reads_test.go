// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// Recovery asks the disk for at most 1.2 times what was not flushed and 64 KiB a
// log, by the disk's own count of everything it reads, and its own count is not
// far from that: behind large segments with long indexes, with small batches
// and large ones, some synced in place, after a power cut and after the death of
// the process alone, with a journal and without.
func TestRecoveryReadsLittle(t *testing.T) {
	for _, durability := range []Durability{Journal, Kafka} {
		t.Run(fmt.Sprint("durability ", durability), func(t *testing.T) {
			mem := memDir(t)
			r := newRig(t, mem)
			r.segment = 4 << 20
			r.change = func(o *Options) { o.Durability, o.JournalBytes, o.CheckpointMs = durability, 8<<20, 1<<40 }
			r.open()
			logs := []*Log{r.create(1, "t", 0), r.create(2, "t", 1), r.create(3, "t", 2)}
			rng := rand.New(rand.NewPCG(1, 2))
			fill := func(bytesOf int) {
				for n := 0; n < bytesOf; {
					size := []int{50, 300, 300, 2000, 100_000}[rng.IntN(5)]
					b := records(1, string(bytes.Repeat([]byte{'r'}, size)))
					l := logs[rng.IntN(len(logs))]
					r.append(l, b, 0)
					n += len(b)
				}
				for _, l := range logs {
					r.wait(l)
				}
			}
			fill(6 << 20)
			if err := r.d.checkpoints.now(); err != nil {
				t.Fatal(err)
			}
			fill(1 << 20)
			disks := map[string]*vfs.Mem{"power cut": mem.CrashClone(4), "another": mem.CrashClone(5)}
			r.close(false)
			disks["process died"] = mem
			for how, disk := range disks {
				var asked atomic.Int64
				s := newRig(t, vfs.Inject(disk, func(op vfs.Op) error {
					if op.Kind == vfs.OpRead {
						asked.Add(int64(op.Len))
					}
					return nil
				}))
				s.segment, s.change = r.segment, r.change
				s.open()
				unflushed := s.started.Bytes + s.recovered.BytesAbove
				said := s.started.BytesRead + s.started.BytesSearched + s.started.BytesRecalled + s.recovered.BytesRead
				limit := unflushed*12/10 + 64<<10*int64(len(s.logs))
				t.Logf("%s: %d unflushed, %d read, %d by the disk's count, %d allowed", how, unflushed, said, asked.Load(), limit)
				if said > limit || asked.Load() > limit || asked.Load()-said > 64<<10 {
					t.Errorf("%s: too much, or not what it says: %+v %+v", how, s.started, s.recovered)
				}
				if durability == Journal && unflushed < 900<<10 {
					t.Errorf("%s: only %d bytes were unflushed: the test proves nothing", how, unflushed)
				}
				for i, l := range logs {
					if got := s.logs[fmt.Sprintf("t-%d", i)]; durability == Journal && got.End() != l.End() {
						t.Errorf("%s: %s ends at %d, want %d", how, got.Name(), got.End(), l.End())
					}
				}
				s.close(true)
			}
		})
	}
}

// counted opens a rig on a disk that counts what is read, and holds it to the
// limit of one log.
func counted(t *testing.T, disk vfs.FS, change func(*Options)) *rig {
	t.Helper()
	var asked atomic.Int64
	s := newRig(t, vfs.Inject(disk, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead {
			asked.Add(int64(op.Len))
		}
		return nil
	}))
	s.segment, s.change = 1<<30, change
	s.open()
	unflushed := s.started.Bytes + s.recovered.BytesAbove
	limit := unflushed*12/10 + 64<<10
	t.Logf("%d unflushed, %d read by the disk's count, %d allowed: %+v", unflushed, asked.Load(), limit, s.started)
	if asked.Load() > limit {
		t.Errorf("%d unflushed, %d read by the disk's count, %d allowed: %+v", unflushed, asked.Load(), limit, s.started)
	}
	return s
}

// The headers of small batches before and behind one that is synced in place
// come from the journal, which holds them: they are not read once more. What a
// producer did is known all the same.
func TestSmallBatchesAroundASyncedOneAreReadOnce(t *testing.T) {
	mem := memDir(t)
	var gate sync.Mutex // held while a group shall collect all that is placed
	r := newRig(t, vfs.Inject(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpWriteDurable {
			gate.Lock()
			defer gate.Unlock()
		}
		return nil
	}))
	r.segment = 1 << 30
	r.change = func(o *Options) { o.JournalBytes, o.CheckpointMs = 8<<20, 1<<40 }
	r.open()
	l, sequence := r.create(1, "t", 0), int32(0)
	small := func(n int) {
		gate.Lock()
		for range n {
			r.append(l, txnBatch(7, &sequence, 1, false, false, epochMs), 0)
		}
		gate.Unlock()
		r.wait(l)
	}
	for range 3 {
		small(7000)
		r.append(l, txnBatch(7, &sequence, 5<<20, false, false, epochMs), 0) // more than half a file
	}
	small(100)
	disk := mem.CrashClone(4)
	s := counted(t, disk, r.change)
	got := s.logs["t-0"]
	if s.started.BytesRecalled != 3*batch.HeaderSize {
		t.Errorf("%d bytes of headers read, three batches were synced in place", s.started.BytesRecalled)
	}
	if got.End() != l.End() || !reflect.DeepEqual(got.Producers(), l.Producers()) {
		t.Errorf("ends at %d with %+v, want %d with %+v", got.End(), got.Producers(), l.End(), l.Producers())
	}
	s.close(true)
	r.close(false)
}

// A journal that is full behind its checkpoint is read once, too: with the
// default size of its files, more than two of them.
func TestALongJournalIsReadOnce(t *testing.T) {
	root := t.TempDir()
	change := func(o *Options) { o.Path, o.JournalBytes, o.CheckpointMs = root, 128<<20, 1<<40 }
	r := newRig(t, vfs.OS())
	r.segment, r.change = 1<<30, change
	r.open()
	l := r.create(1, "t", 0)
	old := map[string][]byte{} // as if the first checkpoint still lasted when the process died
	for _, name := range []string{"samsa.checkpoint.0", "samsa.checkpoint.1", recoveryPointName} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		old[name] = text
	}
	b := records(1, string(bytes.Repeat([]byte{'r'}, 900<<10)))
	for size := 0; size < 300<<20; size += len(b) {
		r.append(l, bytes.Clone(b), 0)
		r.wait(l)
	}
	end := l.End()
	r.close(false)
	for name, text := range old {
		if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := counted(t, vfs.OS(), change)
	if s.started.Bytes < 256<<20 || s.logs["t-0"].End() != end {
		t.Errorf("ends at %d, want %d: %+v", s.logs["t-0"].End(), end, s.started)
	}
	s.close(true)
}
