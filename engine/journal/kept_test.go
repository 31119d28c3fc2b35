// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"slices"
	"testing"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// What a scan keeps is not read again, and what it does not keep is: no more of
// it than that. Both ways every entry comes back, in order.
func TestKeptReadsAgainWhatIsNotKept(t *testing.T) {
	r := newRig(t, vfs.NewMem(), nil)
	tail, want := &Tail{}, []int64(nil)
	for base := range int64(100) {
		place(t, r, tail, testBatch(base, 1, 10_000), base)
		if err := r.j.Wait(tail); err != nil {
			t.Fatal(err)
		}
		want = append(want, base)
	}
	for _, limit := range []int64{0, 1, 300_000, Files * testFile} {
		kept := Keep(limit)
		all, err := ScanInto(kept, r.fs, "/d", r.c, func(uint64, *Entry) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		again, err := kept.Each(r.fs, "/d", r.c, func(e *Entry) error { got = append(got, e.Base); return nil })
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("limit %d: %v, entries %v", limit, err, got)
		}
		most := all.Bytes - limit
		if limit >= all.Bytes && again.BytesRead != 0 || limit < all.Bytes && again.BytesRead > most+20_000 {
			t.Errorf("limit %d: %d bytes of %d read again", limit, again.BytesRead, all.Bytes)
		}
		kept.Free()
	}
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
}

// Of the batches behind one that found no room, those that fit are copied: their
// headers need not be looked for in the segment.
func TestBatchesBehindASyncedOneAreCopied(t *testing.T) {
	fsys := vfs.NewMem()
	r := newRig(t, fsys, nil)
	tail := &Tail{Sync: func() error { return nil }}
	r.j.Place(tail, testBatch(0, 1, testFile/2+1), 0)
	for base := range int64(5) {
		r.j.Place(tail, testBatch(base+1, 1, 10), base+1)
	}
	r.j.Place(tail, testBatch(6, 1, testFile/2+1), 6)
	r.j.Place(tail, testBatch(7, 1, testFile/2+1), 7)
	r.j.Kick()
	if err := r.j.Wait(tail); err != nil {
		t.Fatal(err)
	}
	entries, s := r.scan(t, fsys.CrashClone(1))
	var kinds []Kind
	for _, e := range entries {
		kinds = append(kinds, e.Kind)
	}
	want := []Kind{KindSynced, KindBatch, KindBatch, KindBatch, KindBatch, KindBatch, KindSynced}
	if !slices.Equal(kinds, want) || s.Groups != 1 || entries[6].Base != 6 || entries[6].Last != 7 {
		t.Fatalf("%d groups, kinds %v, last %+v", s.Groups, kinds, entries[len(entries)-1])
	}
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
}
