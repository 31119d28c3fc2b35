// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

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
				said := s.started.BytesRead + s.started.BytesSearched + s.recovered.BytesRead
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
