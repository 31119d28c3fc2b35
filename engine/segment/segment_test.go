// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

var testNow = time.UnixMilli(1_700_000_000_000)

func testEnv(tb testing.TB, interval int32) *Env {
	fs := vfs.NewMem()
	if err := fs.Mkdir("/s"); err != nil {
		tb.Fatal(err)
	}
	env := &Env{FS: fs, Dir: "/s"}
	env.Interval.Store(interval)
	return env
}

// batchAt builds a batch of exactly size bytes with n records.
func batchAt(tb testing.TB, base int64, n, size int, ts int64) []byte {
	tb.Helper()
	for pad := 0; ; pad++ {
		h := batch.PlainHeader()
		h.BaseOffset = base
		var b batch.Builder
		b.Reset(h)
		for i := range n {
			value := []byte{}
			if i == 0 {
				value = make([]byte, pad)
			}
			b.Append(ts, nil, value)
		}
		out, err := b.Finish()
		if err != nil || len(out) > size {
			tb.Fatalf("%d bytes: %v", len(out), err)
		}
		if len(out) == size {
			return bytes.Clone(out)
		}
	}
}

func appendTo(tb testing.TB, s *Segment, b []byte) {
	tb.Helper()
	if n, err := s.WriteAt([][]byte{b}, 0); n != len(b) || err != nil {
		tb.Fatal(n, err)
	}
	v := batch.Batch(b)
	if err := s.Stand(v.BaseOffset(), v.LastOffset(), v.MaxTimestamp(), len(b)); err != nil {
		tb.Fatal(err)
	}
}

func flush(tb testing.TB, s *Segment) {
	tb.Helper()
	f, err := s.StartFlush()
	if err != nil {
		tb.Fatal(err)
	}
	if err := f.Run(); err != nil {
		tb.Fatal(err)
	}
	s.FlushDone(f, true)
}

func file(tb testing.TB, s *Segment, suffix string) []byte {
	tb.Helper()
	b, err := s.at.read(suffix)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func unhex(tb testing.TB, text string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestIndexBytes lays the entries out by hand: index.interval.bytes 250,
// batches of 100 bytes with 2 records from offset 1000 on. An entry comes with
// the first batch that begins more than 250 bytes after the last entry's: at
// 300, 600, 900. Each names the batch's last offset. The time index gets the
// largest timestamp so far, only when it is news, and the last of all at the end.
func TestIndexBytes(t *testing.T) {
	env := testEnv(t, 250)
	s, err := Create(env, 1000, testNow)
	if err != nil {
		t.Fatal(err)
	}
	times := []int64{10, 11, 12, 9, 8, 7, 6, 5, 4, 3, 30, 20}
	for i, ts := range times {
		appendTo(t, s, batchAt(t, 1000+int64(2*i), 2, 100, ts))
	}
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	index := unhex(t, `00000007 0000012c  0000000d 00000258  00000013 00000384`)
	timeIndex := unhex(t, `000000000000000c 00000005  000000000000001e 00000015`)
	check := func(what string) {
		t.Helper()
		if got := file(t, s, IndexSuffix); !bytes.Equal(got, index) {
			t.Errorf("%s: index %x", what, got)
		}
		if got := file(t, s, TimeIndexSuffix); !bytes.Equal(got, timeIndex) {
			t.Errorf("%s: time index %x", what, got)
		}
	}
	check("appended")
	for what, damage := range map[string]func(){
		"deleted":        func() { _ = env.FS.Remove(s.at.path(IndexSuffix)) },
		"zeroed":         func() { put(t, s, IndexSuffix, make([]byte, 24)); put(t, s, TimeIndexSuffix, make([]byte, 24)) },
		"odd length":     func() { put(t, s, IndexSuffix, index[:23]) },
		"time cut odd":   func() { put(t, s, TimeIndexSuffix, timeIndex[:20]) },
		"beyond the log": func() { put(t, s, IndexSuffix, unhex(t, `00000007 0000ffff`)) },
	} {
		damage()
		s.Close()
		s = Existing(env, 1000, 1200, false)
		if p, ok, err := s.Locate(1011); err != nil || !ok || p != (Place{Base: 1010, Pos: 500, End: 600}) {
			t.Fatalf("%s: %+v %v %v", what, p, ok, err)
		}
		check(what)
	}
	// Kafka's zero tail is cut off, what stands before it is kept.
	put(t, s, IndexSuffix, append(bytes.Clone(index), make([]byte, 80_000)...))
	s.Close()
	s = Existing(env, 1000, 1200, false)
	if _, ok, err := s.Locate(1023); !ok || err != nil {
		t.Fatal(ok, err)
	}
	check("zero tail")
	// An index that leads to the middle of a batch is noticed when it is used.
	put(t, s, IndexSuffix, unhex(t, `00000007 0000012d  0000000d 00000258  00000013 00000384`))
	s.Close()
	s = Existing(env, 1000, 1200, false)
	if p, ok, err := s.Locate(1008); err != nil || !ok || p.Pos != 400 {
		t.Fatalf("%+v %v %v", p, ok, err)
	}
	check("misleading")
}

func put(tb testing.TB, s *Segment, suffix string, b []byte) {
	tb.Helper()
	f, err := s.at.open(suffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		tb.Fatal(err)
	}
}

// TestLocateEverywhere asks for every offset of a segment with gaps, whose
// indexBatch has spilled, through every way of finding it.
func TestLocateEverywhere(t *testing.T) {
	env := testEnv(t, 0) // an entry a batch
	s, err := Create(env, 50, testNow)
	if err != nil {
		t.Fatal(err)
	}
	type at struct{ base, last, pos int64 }
	var all []at
	for i := range int64(1500) {
		b := batchAt(t, 50+i*3, 2, 80, i)
		appendTo(t, s, b)
		all = append(all, at{50 + i*3, 51 + i*3, i * 80})
	}
	if err := s.Seal(); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	look := func(what string, s *Segment) {
		t.Helper()
		for i, a := range all {
			for _, offset := range []int64{a.base, a.last} {
				if p, ok, err := s.Locate(offset); err != nil || !ok || p.Base != a.base || p.Pos != a.pos || p.End != a.pos+80 && p.End != -1 {
					t.Fatalf("%s: %d: %+v %v %v, want %+v", what, offset, p, ok, err, a)
				}
			}
			if up, err := s.Upper(a.base); err != nil || up != a.pos {
				t.Fatalf("%s: below %d are %d bytes, want %d (%v)", what, a.base, up, a.pos, err)
			}
			if i > 0 { // the gap before it
				if p, ok, err := s.Locate(a.base - 1); err != nil || !ok || p.Pos != a.pos {
					t.Fatalf("%s: gap at %d: %+v %v %v", what, a.base-1, p, ok, err)
				}
			}
		}
		if _, ok, err := s.Locate(50 + 4500); ok || err != nil {
			t.Fatalf("%s: found what is beyond the end (%v)", what, err)
		}
	}
	look("written", s)
	look("reopened", Existing(env, 50, s.Size(), false))
	end := int64(0)
	if end, err = Existing(env, 50, s.Size(), false).Ready(testNow); err != nil || end != 50+1499*3+2 {
		t.Fatal(end, err)
	}
}

// legacy builds a message of magic 0 or 1.
func legacy(offset int64, magic byte, ts int64, value []byte) []byte {
	body := []byte{magic, 0}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, uint64(ts))
	}
	body = binary.BigEndian.AppendUint32(body, 0xffffffff)
	body = binary.BigEndian.AppendUint32(body, uint32(len(value)))
	body = append(body, value...)
	m := binary.BigEndian.AppendUint64(nil, uint64(offset))
	m = binary.BigEndian.AppendUint32(m, uint32(4+len(body)))
	m = binary.BigEndian.AppendUint32(m, crc32.ChecksumIEEE(body))
	return append(m, body...)
}

// TestRecoverLegacy: a segment that begins with messages of magic 0 and 1 and
// goes on with batches is checked and indexed, and cut where a checksum fails.
func TestRecoverLegacy(t *testing.T) {
	env := testEnv(t, 60)
	var log []byte
	var offset int64
	for i := range 10 {
		log = append(log, legacy(offset, byte(i/5), int64(100+i), []byte("some value"))...)
		offset++
	}
	for range 5 {
		log = append(log, batchAt(t, offset, 1, 90, 200+offset)...)
		offset++
	}
	for broken := -1; broken < 2; broken++ {
		bad := bytes.Clone(log)
		want := Recovered{End: 15}
		if broken == 0 { // the 4th message
			bad[3*36+30] ^= 1
			want.End = 3
		}
		if broken == 1 {
			bad[len(bad)-1] ^= 1
			want.End = 14
		}
		s := Existing(env, 0, int64(len(bad)), false)
		put(t, s, LogSuffix, bad)
		put(t, s, IndexSuffix, nil)
		put(t, s, TimeIndexSuffix, nil)
		seen := 0
		got, err := s.Recover(0, func(h *Head, _ func() ([]byte, error)) error {
			if h.Base != int64(seen) {
				t.Fatalf("%+v as the %d. batch", h, seen)
			}
			seen++
			return nil
		})
		if err != nil || got.End != want.End || seen != int(want.End) || (got.Why == nil) != (broken < 0) {
			t.Fatalf("broken %d: %+v %v after %d", broken, got, err, seen)
		}
		if ts, err := s.MaxTimestamp(); err != nil || broken < 0 && ts != 214 {
			t.Fatal(ts, err)
		}
		s.Close()
	}
}

// TestTxnIndexBytes compares an entry with bytes laid out by hand.
func TestTxnIndexBytes(t *testing.T) {
	env := testEnv(t, 4096)
	s, err := Create(env, 10, testNow)
	if err != nil {
		t.Fatal(err)
	}
	one := AbortedTxn{ProducerID: 258, First: 11, Last: 15, LastStable: 12}
	two := AbortedTxn{ProducerID: 3, First: 12, Last: 20, LastStable: 21}
	for _, a := range []AbortedTxn{one, two} {
		if err := s.Abort(a); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, s)
	want := unhex(t, `0000 0000000000000102 000000000000000b 000000000000000f 000000000000000c
		0000 0000000000000003 000000000000000c 0000000000000014 0000000000000015`)
	if got := file(t, s, TxnIndexSuffix); !bytes.Equal(got, want) {
		t.Fatalf("%x", got)
	}
	s.Close()
	s = Existing(env, 10, 0, true)
	if got, err := s.Aborted(); err != nil || len(got) != 2 || got[0] != one || got[1] != two {
		t.Fatal(got, err)
	}
	if err := s.CutAborted(16); err != nil {
		t.Fatal(err)
	}
	if got := file(t, s, TxnIndexSuffix); !bytes.Equal(got, want[:34]) {
		t.Fatalf("%x", got)
	}
}

// What the power tore behind the last sync takes nothing from the entries before.
func TestTornTxnIndex(t *testing.T) {
	env := testEnv(t, 4096)
	s, err := Create(env, 10, testNow)
	if err != nil {
		t.Fatal(err)
	}
	kept := AbortedTxn{ProducerID: 7, First: 11, Last: 14, LastStable: 11}
	for _, a := range []AbortedTxn{kept, {ProducerID: 8, First: 12, Last: 16, LastStable: 17}} {
		if err := s.Abort(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeZeros(s.txns.file, txnEntry, txnEntry); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = Existing(env, 10, 0, true)
	if err := s.CutAborted(15); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Aborted(); err != nil || len(got) != 1 || got[0] != kept {
		t.Fatalf("%v, %v", got, err)
	}
}

func writeZeros(f vfs.File, at, n int64) error {
	_, err := f.WriteAt(make([]byte, n), at)
	return err
}

// TestNames takes Kafka's names apart and puts them together.
func TestNames(t *testing.T) {
	if got := Name(1234, LogSuffix); got != "00000000000000001234.log" {
		t.Fatal(got)
	}
	for name, want := range map[string]string{"00000000000000001234.log": ".log", "00000000000000001234.timeindex.deleted": ".timeindex.deleted"} {
		if offset, suffix, ok := ParseName(name); !ok || offset != 1234 || suffix != want {
			t.Errorf("%s: %d %s %v", name, offset, suffix, ok)
		}
	}
	for _, name := range []string{"", ".log", "partition.metadata", "12x.log", "-5.log", "99999999999999999999.log", "7"} {
		if _, _, ok := ParseName(name); ok {
			t.Errorf("%q is taken for a segment's file", name)
		}
	}
}

// FuzzScan: no bytes make the scanner panic, hang or hand out more than there is.
func FuzzScan(tf *testing.F) {
	f := hostiletest.New(tf)
	f.Add(append(batchAt(f, 3, 2, 100, 5), legacy(9, 1, 7, []byte("x"))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		env := testEnv(t, 64)
		s := Existing(env, 0, int64(len(b)), false)
		put(t, s, LogSuffix, b)
		h, err := s.Pin()
		if err != nil {
			t.Fatal(err)
		}
		sc := NewScanner(h.File(), 0, int64(len(b)))
		end := int64(0)
		for {
			head, err := sc.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				break
			}
			if head.Pos != end || head.Size <= 0 || head.Pos+head.Size > int64(len(b)) || head.Last < head.Base {
				t.Fatalf("%+v", head)
			}
			end = head.Pos + head.Size
			if err := sc.Verify(&head); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
		}
		h.Unpin()
		r, err := s.Recover(0, nil)
		if err != nil || s.Size()+r.Truncated != int64(len(b)) {
			t.Fatalf("%+v %v", r, err)
		}
	})
}

// FuzzIndexes: whatever stands in the index files, every offset is found where
// it is, or the file is made anew.
func FuzzIndexes(tf *testing.F) {
	f := hostiletest.New(tf)
	f.Add([]byte{0, 0, 0, 7, 0, 0, 1, 44}, []byte{0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 5}, []byte(nil))
	f.Fuzz(func(t *testing.T, index, timeIndex, txns []byte) {
		env := testEnv(t, 250)
		s := Existing(env, 0, 1000, true)
		var log []byte
		for i := range int64(10) {
			log = append(log, batchAt(t, 2*i, 2, 100, 10+i)...)
		}
		put(t, s, LogSuffix, log)
		put(t, s, IndexSuffix, index)
		put(t, s, TimeIndexSuffix, timeIndex)
		put(t, s, TxnIndexSuffix, txns)
		for offset := range int64(20) {
			p, ok, err := s.Locate(offset)
			if err != nil {
				t.Fatal(err)
			}
			if ok && (p.Pos%100 != 0 || p.Base != p.Pos/50) {
				t.Fatalf("%d: %+v", offset, p)
			}
		}
		if _, done, err := s.SeekTime(15); err != nil {
			t.Fatal(err)
		} else if done != nil {
			done()
		}
		if _, err := s.Aborted(); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
}
