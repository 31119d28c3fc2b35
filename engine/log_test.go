// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

const testDir = "/log"

// testClock is the time of all tests until they move it.
var testClock = time.UnixMilli(1_700_000_000_000)

// batchOf builds a batch of n records of size bytes each.
func batchOf(tb testing.TB, h batch.Header, n, size int, ts int64) []byte {
	tb.Helper()
	var b batch.Builder
	b.Reset(h)
	for i := range n {
		b.Append(ts, []byte{byte(i)}, bytes.Repeat([]byte{byte('a' + i%26)}, size))
	}
	out, err := b.Finish()
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Clone(out)
}

func plain(tb testing.TB, n int, ts int64) []byte {
	return batchOf(tb, batch.PlainHeader(), n, 20, ts)
}

func testFS(tb testing.TB) *vfs.Mem {
	m := vfs.NewMem()
	if err := errors.Join(m.MkdirAll(testDir), m.SyncDir("/")); err != nil {
		tb.Fatal(err)
	}
	return m
}

func testOptions(fs vfs.FS) Options {
	c := DefaultConfig()
	c.RetentionMs = -1
	return Options{FS: fs, Config: c, Now: func() time.Time { return testClock }}
}

func open(tb testing.TB, o Options) *Log {
	tb.Helper()
	l, err := Open(testDir, o)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// put appends batches one by one, each in a write of its own.
func put(tb testing.TB, l *Log, all ...[]byte) {
	tb.Helper()
	for _, b := range all {
		a := &Append{Batches: b, Epoch: max(l.LastEpoch(), 0)}
		if err := l.Stage(a); err != nil {
			tb.Fatal(err)
		}
		if n, err := l.Write(); n != 1 || err != nil {
			tb.Fatalf("Write: %d, %v", n, err)
		}
	}
}

// readAll reads everything from an offset on, and checks that it is made of
// good batches that follow each other.
func readAll(tb testing.TB, l *Log, from Offset) (all []byte) {
	tb.Helper()
	for from < l.End() {
		spans, err := l.View().Read(nil, from, l.End(), 1<<20, true)
		if err != nil {
			tb.Fatalf("read at %d: %v", from, err)
		}
		got := spanBytes(tb, spans)
		if len(got) == 0 {
			tb.Fatalf("read at %d of %d: nothing", from, l.End())
		}
		for len(got) > 0 {
			b, rest, err := batch.Next(got)
			if err != nil { // cut at the end
				break
			}
			if err := b.Verify(); err != nil {
				tb.Fatal(err)
			}
			if Offset(b.LastOffset()) < from {
				tb.Fatalf("batch %d to %d where %d was asked for", b.BaseOffset(), b.LastOffset(), from)
			}
			all = append(all, b...)
			from = Offset(b.LastOffset()) + 1
			got = rest
		}
	}
	return all
}

func spanBytes(tb testing.TB, spans []Span) (got []byte) {
	tb.Helper()
	for i := range spans {
		s := &spans[i]
		p := make([]byte, s.Len())
		if _, err := s.File().ReadAt(p, s.Off()); err != nil {
			tb.Fatal(err)
		}
		got = append(got, p...)
		s.Release()
	}
	return got
}

// TestAppendReadReopen: what is appended is read back, also after a clean and
// an unclean stop.
func TestAppendReadReopen(t *testing.T) {
	fs := testFS(t)
	o := testOptions(fs)
	o.Config.SegmentBytes = 2000
	l := open(t, o)
	for i := range 100 {
		put(t, l, plain(t, 1+i%3, int64(1000+i)))
	}
	want := readAll(t, l, 0)
	if l.End() != 199 || len(l.View().segs) < 5 {
		t.Fatalf("end %d, %d segments", l.End(), len(l.View().segs))
	}
	if got := readAll(t, l, 50); !bytes.HasSuffix(want, got) {
		t.Fatal("reading from the middle gives other bytes")
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprint("clean=", clean), func(t *testing.T) {
			o := o
			o.Clean, o.RecoveryPoint = clean, 199
			l := open(t, o)
			defer l.Close(true)
			if l.End() != 199 || l.Start() != 0 {
				t.Fatalf("%d to %d", l.Start(), l.End())
			}
			if !bytes.Equal(readAll(t, l, 0), want) {
				t.Fatal("other bytes")
			}
		})
	}
	o.Clean, o.RecoveryPoint = true, 199
	l = open(t, o)
	put(t, l, plain(t, 1, 5000))
	if got := readAll(t, l, 0); !bytes.HasPrefix(got, want) || l.End() != 200 {
		t.Fatal("append after reopen")
	}
}
