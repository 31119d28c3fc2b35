// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/segment"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// content reads a file of the log's directory; nil if it is not there.
func content(tb testing.TB, fs vfs.FS, name string) []byte {
	tb.Helper()
	f, err := fs.OpenFile(filepath.Join(testDir, name), os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	size, _ := f.Size()
	b := make([]byte, size)
	if n, _ := f.ReadAt(b, 0); n < len(b) {
		tb.Fatalf("%s: %d of %d bytes", name, n, len(b))
	}
	return b
}

func setContent(tb testing.TB, fs vfs.FS, name string, b []byte) {
	tb.Helper()
	f, err := fs.OpenFile(filepath.Join(testDir, name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		tb.Fatal(err)
	}
}

// TestRecoverTornTail cuts the last of three segments after every byte of its
// last batch, puts nothing, zeros or garbage behind it, and checks that exactly
// the whole batches survive.
func TestRecoverTornTail(t *testing.T) {
	base := testFS(t)
	o := testOptions(base)
	o.Config.SegmentBytes = 1500
	l := open(t, o)
	var ends []Offset // of each batch in the last segment
	var sizes []int
	for i := 0; len(l.View().segs) < 3 || len(ends) < 6; i++ {
		put(t, l, plain(t, 1+i%3, int64(1000+i)))
		if len(l.View().segs) == 3 {
			ends = append(ends, l.End())
			sizes = append(sizes, int(l.shelf.active().Size()))
		}
	}
	want := readAll(t, l, 0)
	lastBase := l.shelf.active().Base()
	name := segment.Name(lastBase, segment.LogSuffix)
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	whole := content(t, base, name)
	rng := rand.New(rand.NewPCG(1, 2))
	tails := map[string]func(n int) []byte{
		"nothing": func(int) []byte { return nil },
		"zeros":   func(n int) []byte { return make([]byte, len(whole)-n+4096) },
		"garbage": func(n int) []byte {
			b := make([]byte, len(whole)-n)
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			return b
		},
	}
	for _, kind := range []string{"nothing", "zeros", "garbage"} {
		for n := sizes[len(sizes)-2]; n <= len(whole); n++ {
			for _, point := range []Offset{0, Offset(lastBase), ends[2], ends[len(ends)-2]} {
				fs := base.CrashClone(0)
				damaged := append(bytes.Clone(whole[:n]), tails[kind](n)...)
				setContent(t, fs, name, damaged)
				o := o
				o.FS, o.RecoveryPoint = fs, point
				l := open(t, o)
				expect := ends[len(ends)-2]
				if bytes.HasPrefix(damaged, whole) {
					expect = ends[len(ends)-1]
				}
				if l.End() != expect {
					t.Fatalf("%s after %d of %d, recovery point %d: end %d, want %d", kind, n, len(whole), point, l.End(), expect)
				}
				got := readAll(t, l, 0)
				if !bytes.HasPrefix(want, got) {
					t.Fatalf("%s after %d: other bytes", kind, n)
				}
				put(t, l, plain(t, 2, 9000)) // it goes on
				if err := l.Close(true); err != nil {
					t.Fatal(err)
				}
				checkIndexes(t, fs)
			}
		}
	}
}

// checkIndexes compares every index file with what Kafka's LogSegment.recover
// would make of the .log, entry by entry where it must agree: each offset
// entry names the last offset of the batch at its position, and each time
// entry the largest timestamp up to it.
func checkIndexes(tb testing.TB, fs vfs.FS) {
	tb.Helper()
	entries, err := fs.ReadDir(testDir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		base, suffix, ok := segment.ParseName(e.Name())
		if !ok || suffix != segment.LogSuffix {
			continue
		}
		checkIndex(tb, base, content(tb, fs, e.Name()), content(tb, fs, segment.Name(base, segment.IndexSuffix)),
			content(tb, fs, segment.Name(base, segment.TimeIndexSuffix)))
	}
}

func checkIndex(tb testing.TB, base int64, log, index, times []byte) {
	tb.Helper()
	lastAt := make(map[int]int64)    // position -> last offset
	maxUpTo := make(map[int64]int64) // last offset -> largest timestamp up to it
	largest := int64(-1)
	for pos := 0; pos < len(log); {
		b, _, err := batch.Next(log[pos:])
		if err != nil {
			tb.Fatalf("segment %d at %d: %v", base, pos, err)
		}
		largest = max(largest, b.MaxTimestamp())
		lastAt[pos], maxUpTo[b.LastOffset()] = b.LastOffset(), largest
		pos += len(b)
	}
	if len(index)%8 != 0 || len(times)%12 != 0 {
		tb.Fatalf("segment %d: index of %d bytes, time index of %d", base, len(index), len(times))
	}
	for i := 0; i < len(index); i += 8 {
		rel, pos := be32(index[i:]), int(be32(index[i+4:]))
		if last, ok := lastAt[pos]; !ok || last != base+rel || pos == 0 {
			tb.Fatalf("segment %d: index entry %d says %d at %d, there stands %d (%v)", base, i/8, base+rel, pos, last, ok)
		}
	}
	previous := int64(-1)
	for i := 0; i < len(times); i += 12 {
		ts, rel := be64(times[i:]), be32(times[i+8:])
		if m, ok := maxUpTo[base+rel]; !ok || m != ts || ts <= previous {
			tb.Fatalf("segment %d: time entry %d says %d at %d, the largest so far is %d (%v)", base, i/12, ts, base+rel, m, ok)
		}
		previous = ts
	}
	if previous != largest {
		tb.Fatalf("segment %d: time index ends at %d, log at %d", base, previous, largest)
	}
}

func be32(b []byte) int64 {
	return int64(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]))
}
func be64(b []byte) int64 { return be32(b)<<32 | be32(b[4:]) }

// TestRecoverReadsOnlyTheTail: of a large segment only what follows the
// recovery point is read, give or take an index interval.
func TestRecoverReadsOnlyTheTail(t *testing.T) {
	fs := testFS(t)
	o := testOptions(fs)
	l := open(t, o)
	for i := range 2000 {
		put(t, l, batchOf(t, batch.PlainHeader(), 1, 1000, int64(i)))
	}
	f := l.Flush()
	if err := l.FlushDone(f, f.Run()); err != nil {
		t.Fatal(err)
	}
	point := l.SyncedEnd()
	for i := range 20 {
		put(t, l, batchOf(t, batch.PlainHeader(), 1, 1000, int64(3000+i)))
	}
	crashed := fs.CrashClone(7)
	for _, producers := range [][]byte{f.Producers(), nil} {
		var r Recovery
		o := o
		o.FS, o.RecoveryPoint, o.Producers = crashed.CrashClone(0), point, producers
		o.Events = &Events{Recovered: func(_ string, got Recovery) { r = got }}
		l := open(t, o)
		if l.End() < point {
			t.Fatalf("end %d below the recovery point %d", l.End(), point)
		}
		limit := int64(20*1100 + 4096 + 2*1100 + 4096)
		if producers == nil {
			limit += 2000*1071 + 8192 // the headers below stand in every block here
		}
		if r.BytesRead > limit || r.Clean {
			t.Fatalf("read %d bytes, %+v", r.BytesRead, r)
		}
	}
}
