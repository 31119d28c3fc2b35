// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/samsa-broker/samsa/engine/vfs"
)

const windowFile = 16 << 20

// sized writes one group for each size and returns where each begins and what
// it was promised. A group that does not fit the promise names its records.
func sized(t *testing.T, fsys vfs.FS, sizes []int) (r *rig, starts, promises []int64) {
	t.Helper()
	r = newRig(t, fsys, func(o *Options) { o.FileBytes = windowFile })
	tail := &Tail{Log: LogID{Topic: [16]byte{9}, Creation: 4}, Sync: func() error { return nil }}
	for i, size := range sizes {
		pos, _, most := r.j.Durable()
		starts, promises = append(starts, pos), append(promises, most)
		place(t, r, tail, testBatch(int64(i), 1, size), int64(i))
		if err := r.j.Wait(tail); err != nil {
			t.Fatal(err)
		}
		end, _, _ := r.j.Durable()
		if end-pos > most+windowFile/2 || end/windowFile == pos/windowFile && end-pos > most {
			t.Fatalf("group %d takes %d bytes, promised were %d", i, end-pos, most)
		}
		if at := roundUp(pos, windowFile); at > pos && end > at {
			starts[i] = at // it did not fit
		}
	}
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
	return r, starts, promises
}

// corrupt flips a bit of the group's head, or of what stands behind it.
func corrupt(t *testing.T, fsys vfs.FS, pos int64, at int64) {
	t.Helper()
	name := "/d/" + FileName(int(pos/windowFile%Files))
	f, err := fsys.OpenFile(name, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, pos%windowFile+at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if err := f.WriteDurableAt(b, pos%windowFile+at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A damaged group is found among smaller and larger ones, whatever the sizes;
// without damage the search ends at the promise of the last group.
func TestDamageIsFoundWithinTheWindow(t *testing.T) {
	lives := [][]int{
		{100, 1 << 20, 100, 3 << 20, 100, 5 << 20, 7 << 20, 100},
		{7 << 20, 7 << 20, 100, 7 << 20, 100, 100, 1 << 20, 3 << 20},
		{100, 1 << 20, 2 << 20, 4 << 20, 8 << 20, 8 << 20, 8 << 20, 100, 100},
	}
	for range 6 {
		var sizes []int
		for range 8 {
			sizes = append(sizes, rand.IntN(1<<(7+rand.IntN(16))))
		}
		lives = append(lives, sizes)
	}
	for _, sizes := range lives {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			mem := vfs.NewMem()
			r, starts, promises := sized(t, mem, sizes)
			_, s := r.scan(t, mem)
			if len(s.Gaps) != 0 || s.Torn || s.Groups != len(sizes) {
				t.Fatalf("undamaged: %+v", s)
			}
			if s.BytesSearched > 2*s.Window+(Files+1)*Block {
				t.Fatalf("searched %d bytes, the window is %d", s.BytesSearched, s.Window)
			}
			for i := range sizes {
				for _, at := range []int64{0, 38, 50, 70} { // magic, sequence, sizes, an entry
					corrupt(t, mem, starts[i], at)
					_, s := r.scan(t, mem)
					corrupt(t, mem, starts[i], at)
					if last := i == len(sizes)-1; last != (len(s.Gaps) == 0) {
						t.Fatalf("byte %d of group %d of %d at %d, promised %d: %+v", at, i, len(sizes), starts[i], promises[i], s)
					}
				}
			}
		})
	}
}

// The group before the last is damaged and the last one torn: its head proves
// that what came before it was acknowledged.
func TestTornGroupProvesDamage(t *testing.T) {
	mem := vfs.NewMem()
	r, starts, _ := sized(t, mem, []int{100, 5000, 9000})
	corrupt(t, mem, starts[1], 80)
	corrupt(t, mem, starts[2], 80)
	entries, s := r.scan(t, mem)
	if len(s.Gaps) != 1 || s.Gaps[0].First != 2 || !s.Torn || len(entries) != 1 {
		t.Fatalf("%d entries, %+v", len(entries), s)
	}
}

// However many batches find no room while a write is in flight, they take one
// entry for each log, are durable with the group, and let the next ones grow.
func TestOverflowIsNamedOnce(t *testing.T) {
	fsys := vfs.NewMem()
	release := make(chan func(error), 1)
	r := newRig(t, fsys, func(o *Options) { o.FileBytes, o.Writer = windowFile, heldWriter{release} })
	first := &Tail{Log: LogID{Creation: 1}}
	place(t, r, first, testBatch(0, 1, 10), 0)
	done := <-release
	synced := 0
	tails := make([]*Tail, 3)
	for i := range tails {
		tails[i] = &Tail{Log: LogID{Creation: uint64(i + 2)}, Sync: func() error { synced++; return nil }}
	}
	const batches = 20_000
	for n := range int64(batches) {
		for _, tail := range tails {
			r.j.Place(tail, testBatch(n, 1, 10), n)
		}
	}
	if err := r.j.Err(); err != nil {
		t.Fatal(err)
	}
	done(nil)
	done = <-release
	if synced != len(tails) || r.j.groups[1].count.Load() < 1000 || r.j.groups[1].padded > FirstGroup {
		t.Fatalf("%d logs synced, %d entries in %d bytes", synced, r.j.groups[1].count.Load(), r.j.groups[1].padded)
	}
	done(nil)
	for _, tail := range tails {
		if tail.Durable() != batches {
			t.Fatalf("durable end %d of %d", tail.Durable(), batches)
		}
	}
	if _, _, most := r.j.Durable(); most < 4*FirstGroup {
		t.Fatalf("the next group may be %d bytes only", most)
	}
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
}
