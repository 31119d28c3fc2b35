// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// The power goes at every single operation of a journal's life, with several
// outcomes of each: whatever was durable before is there, in order, and nothing
// is ever called damage.
func TestCrashAtEveryWrite(t *testing.T) {
	for at := int64(1); ; at++ {
		mem := vfs.NewMem()
		var mu sync.Mutex
		var clones []*vfs.Mem
		var durable int64
		tail := &Tail{}
		fsys := vfs.Inject(mem, func(op vfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if op.N == at {
				durable = tail.Durable()
				for seed := range int64(4) {
					clones = append(clones, mem.CrashClone(at*10+seed))
				}
			}
			return nil
		})
		r := newRig(t, fsys, nil)
		end := int64(0)
		for range 10 {
			for range rand.IntN(3) + 1 {
				place(t, r, tail, testBatch(end, 2, rand.IntN(60_000)), end)
				end += 2
			}
			if err := r.j.Wait(tail); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.j.Close(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		if clones == nil {
			mu.Unlock()
			if at < 30 {
				t.Fatalf("only %d operations", at)
			}
			return
		}
		for i, clone := range clones {
			entries, s := r.scan(t, clone)
			next := int64(0)
			for _, e := range entries {
				if e.Base != next {
					t.Fatalf("operation %d, outcome %d: base %d where %d should be", at, i, e.Base, next)
				}
				next = e.Last + 1
			}
			if next < durable || len(s.Gaps) != 0 {
				t.Fatalf("operation %d, outcome %d: %d of %d durable offsets came back, %+v", at, i, next, durable, s)
			}
		}
		mu.Unlock()
	}
}

// The power goes at every operation of writing checkpoints that grow: the
// newest that was written, or the one that was being written, is read.
func TestCrashInCheckpoint(t *testing.T) {
	for at := int64(1); ; at++ {
		mem := vfs.NewMem()
		var clones []*vfs.Mem
		var done, begun uint64
		var doneThen, begunThen uint64
		fsys := vfs.Inject(mem, func(op vfs.Op) error {
			if op.N == at {
				doneThen, begunThen = done, begun
				for seed := range int64(4) {
					clones = append(clones, mem.CrashClone(at*10+seed))
				}
			}
			return nil
		})
		if err := fsys.Mkdir("/d"); err != nil {
			t.Fatal(err)
		}
		if err := mem.SyncDir("/"); err != nil {
			t.Fatal(err)
		}
		s, err := OpenSlots(fsys, "/d", 0)
		if err != nil {
			t.Fatal(err)
		}
		c := &Checkpoint{FileBytes: testFile}
		for i := range 6 {
			for len(c.Logs) < i*600 {
				c.Logs = append(c.Logs, LogState{Name: "topic-1", Synced: int64(len(c.Logs)), Producers: []byte("producers")})
			}
			begun++
			if _, err := s.Write(c); err != nil {
				t.Fatal(err)
			}
			done++
		}
		if clones == nil {
			if at < 20 {
				t.Fatalf("only %d operations", at)
			}
			return
		}
		for i, clone := range clones {
			got, _, err := ReadCheckpoint(clone, "/d")
			if err != nil {
				t.Fatal(err)
			}
			seq := uint64(0)
			if got != nil {
				seq = got.Sequence
			}
			if seq < doneThen || seq > begunThen {
				t.Fatalf("operation %d, outcome %d: checkpoint %d, want %d to %d", at, i, seq, doneThen, begunThen)
			}
		}
	}
}
