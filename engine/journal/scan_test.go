// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// written is a journal of n groups of one batch each, closed, and where each
// group starts.
func written(t *testing.T, fsys vfs.FS, n int) (*rig, []int64) {
	t.Helper()
	r := newRig(t, fsys, nil)
	tail := &Tail{Log: LogID{Topic: [16]byte{9}, Creation: 4}}
	var starts []int64
	for i := range int64(n) {
		pos, _, _ := r.j.Durable()
		starts = append(starts, pos)
		place(t, r, tail, testBatch(i, 1, 5000), i)
		if err := r.j.Wait(tail); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
	return r, starts
}

// alter changes n bytes at pos of the journal's stream.
func alter(t *testing.T, fsys vfs.FS, pos int64, change func(b []byte), n int) {
	t.Helper()
	f, err := fsys.OpenFile(filepath.Join("/d", FileName(int(pos/testFile%Files))), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, pos%testFile); err != nil {
		t.Fatal(err)
	}
	change(b)
	if err := f.WriteDurableAt(b, pos%testFile); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func flip(b []byte) { b[0] ^= 1 }
func wipe(b []byte) { clear(b) }

// Whatever happens to the last group, only that one is missing and nothing is
// called damage; whatever happens to an earlier one is, and what lies behind it
// is still read.
func TestScanTornAndDamaged(t *testing.T) {
	const groups = 5
	changes := []struct {
		name   string
		at     int64
		n      int
		change func([]byte)
	}{
		{"bit of the magic", 0, 1, flip},
		{"bit of the journal id", 8, 1, flip},
		{"bit of the position", 30, 1, flip},
		{"bit of the sequence", 38, 1, flip},
		{"bit of the size", 42, 1, flip},
		{"bit of the entry count", 47, 1, flip},
		{"bit of the hash", 60, 1, flip},
		{"bit of an entry's head", 80, 1, flip},
		{"bit of the batch", 3000, 1, flip},
		{"first sector", 0, 512, wipe},
		{"middle sector", 2048, 512, wipe},
		{"whole group", 0, 8192, wipe},
	}
	for _, c := range changes {
		for hit := range groups {
			fsys := vfs.NewMem()
			r, starts := written(t, fsys, groups)
			alter(t, fsys, starts[hit]+c.at, c.change, c.n)
			entries, s := r.scan(t, fsys)
			if len(entries) != groups-1 {
				t.Fatalf("%s of group %d: %d entries", c.name, hit, len(entries))
			}
			if hit == groups-1 {
				if len(s.Gaps) != 0 {
					t.Fatalf("%s of the last group: %+v", c.name, s)
				}
				continue
			}
			want := Gap{Position: starts[hit], First: uint64(hit + 1), Next: uint64(hit + 2)}
			if len(s.Gaps) != 1 || s.Gaps[0] != want {
				t.Fatalf("%s of group %d: %+v, want %+v", c.name, hit, s.Gaps, want)
			}
		}
	}
}

// Damage is also seen when what lies behind it is in the next file, or came
// around the files once more.
func TestScanDamageAcrossFiles(t *testing.T) {
	fsys := vfs.NewMem()
	r := newRig(t, fsys, nil)
	tail := &Tail{}
	var starts []int64
	for i := range int64(12) { // two of these fill a file
		pos, seq, most := r.j.Durable()
		starts = append(starts, pos)
		r.j.Release(pos) // as if every group had its checkpoint
		if i == 2 {
			r.c.Position, r.c.GroupSequence, r.c.GroupMax = pos, seq, most
		}
		place(t, r, tail, testBatch(i, 1, testFile*2/5), i)
		if err := r.j.Wait(tail); err != nil {
			t.Fatal(err)
		}
	}
	// Group 3 was overwritten by group 11: this checkpoint is too old, and must
	// not be taken for the truth.
	_, s := r.scan(t, fsys)
	if len(s.Gaps) != 1 || s.Gaps[0].First != 3 {
		t.Fatalf("an old checkpoint over recycled files: %+v", s)
	}
	r.c.Position, r.c.GroupSequence = starts[6], 7
	if entries, s := r.scan(t, fsys); len(entries) != 6 || len(s.Gaps) != 0 {
		t.Fatalf("%d entries, %+v", len(entries), s)
	}
	at := starts[7]
	if last := at / testFile * testFile; at == last {
		t.Fatal("BUG: want a group at the end of a file")
	}
	alter(t, fsys, at, flip, 1)
	if entries, s := r.scan(t, fsys); len(entries) != 5 || len(s.Gaps) != 1 {
		t.Fatalf("damage at the end of a file: %d entries, %+v", len(entries), s)
	}
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
}

// Groups of another journal are never read, nor those that stood in the files
// before a checkpoint; a missing file is damage only if something lies behind.
func TestScanStaleForeignMissing(t *testing.T) {
	fsys := vfs.NewMem()
	r, starts := written(t, fsys, 5)
	other := *r.c
	other.Journal = ID{9, 9}
	rr := &rig{fs: fsys, c: &other}
	if entries, s := rr.scan(t, fsys); len(entries) != 0 || len(s.Gaps) != 0 || s.Torn {
		t.Fatalf("groups of another journal: %d entries, %+v", len(entries), s)
	}
	late := *r.c
	late.Position, late.GroupSequence = starts[3], 4
	rr.c = &late
	if entries, s := rr.scan(t, fsys); len(entries) != 2 || len(s.Gaps) != 0 {
		t.Fatalf("behind the checkpoint: %d entries, %+v", len(entries), s)
	}
	if err := fsys.Remove(filepath.Join("/d", FileName(1))); err != nil {
		t.Fatal(err)
	}
	if entries, s := r.scan(t, fsys); len(entries) != 5 || len(s.Gaps) != 0 {
		t.Fatalf("without a file that was never used: %d entries, %+v", len(entries), s)
	}
	if err := fsys.Remove(filepath.Join("/d", FileName(0))); err != nil {
		t.Fatal(err)
	}
	if entries, s := r.scan(t, fsys); len(entries) != 0 || len(s.Gaps) != 0 {
		t.Fatalf("without the only file: %d entries, %+v", len(entries), s)
	}
}
