// SPDX-License-Identifier: Apache-2.0

package producer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
	"github.com/samsa-broker/samsa/engine/batch"
)

// sent is one batch that a producer sends.
type sent struct {
	id            int64
	epoch         int16
	sequence      int32
	n             int
	at            int64
	transactional bool
}

func (s sent) batch(t testing.TB) batch.Batch {
	h := batch.PlainHeader()
	h.BaseOffset, h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.Transactional = s.at, s.id, s.epoch, s.sequence, s.transactional
	var b batch.Builder
	b.Reset(h)
	for range max(s.n, 1) {
		b.Append(1000+s.at, nil, []byte("v"))
	}
	out, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(out)
}

func markerAt(t testing.TB, id int64, epoch int16, coordinator int32, at int64, commit bool) batch.Batch {
	h := batch.PlainHeader()
	h.BaseOffset, h.ProducerID, h.ProducerEpoch, h.Transactional, h.Control = at, id, epoch, true, true
	var b batch.Builder
	b.Reset(h)
	b.Append(5000+at, []byte{0, 0, 0, map[bool]byte{true: 1}[commit]}, []byte{0, 0, 0, 0, 0, byte(coordinator)})
	out, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(out)
}

// TestSequences follows one producer through what Kafka's ProducerAppendInfo
// accepts and refuses.
func TestSequences(t *testing.T) {
	const wrap = math.MaxInt32
	for _, c := range []struct {
		name   string
		before []sent
		send   sent
		check  Check
		want   error
		kind   EffectKind
		first  int64 // of the duplicate's original
	}{
		{name: "unknown producer starts anywhere", send: sent{sequence: 42}, check: Sequences},
		{name: "next", before: []sent{{n: 3}}, send: sent{sequence: 3, at: 3}, check: Sequences},
		{name: "gap", before: []sent{{n: 3}}, send: sent{sequence: 4, at: 3}, check: Sequences, want: ErrOutOfOrder},
		{name: "gap from a replica", before: []sent{{n: 3}}, send: sent{sequence: 4, at: 3}, check: Trust},
		{name: "gap from a coordinator", before: []sent{{n: 3}}, send: sent{sequence: 4, at: 3}, check: Epochs},
		{name: "duplicate", before: []sent{{n: 3}, {sequence: 3, at: 3}}, send: sent{n: 3, at: 4}, check: Sequences, kind: Duplicate},
		{name: "duplicate of five ago",
			before: []sent{{}, {sequence: 1, at: 1}, {sequence: 2, at: 2}, {sequence: 3, at: 3}, {sequence: 4, at: 4}},
			send:   sent{at: 5}, check: Sequences, kind: Duplicate},
		{name: "older than remembered",
			before: []sent{{}, {sequence: 1, at: 1}, {sequence: 2, at: 2}, {sequence: 3, at: 3}, {sequence: 4, at: 4}, {sequence: 5, at: 5}},
			send:   sent{at: 6}, check: Sequences, want: ErrOutOfOrder},
		{name: "part of a duplicate", before: []sent{{n: 3}}, send: sent{n: 2, at: 3}, check: Sequences, want: ErrOutOfOrder},
		{name: "wraps", before: []sent{{sequence: wrap}}, send: sent{at: 1}, check: Sequences},
		{name: "wraps inside", before: []sent{{sequence: wrap - 1, n: 4}}, send: sent{sequence: 2, at: 4}, check: Sequences},
		{name: "duplicate that wraps", before: []sent{{sequence: wrap - 1, n: 4}}, send: sent{sequence: wrap - 1, n: 4, at: 4}, check: Sequences, kind: Duplicate},
		{name: "new epoch starts at 0", before: []sent{{n: 3}}, send: sent{epoch: 1, at: 3}, check: Sequences},
		{name: "new epoch elsewhere", before: []sent{{n: 3}}, send: sent{epoch: 1, sequence: 3, at: 3}, check: Sequences, want: ErrOutOfOrder},
		{name: "old epoch", before: []sent{{epoch: 2}}, send: sent{epoch: 1, sequence: 1, at: 1}, check: Sequences, want: ErrEpoch},
		{name: "old epoch from a replica", before: []sent{{epoch: 2}}, send: sent{epoch: 1, sequence: 1, at: 1}, check: Trust},
		{name: "begins", send: sent{transactional: true}, check: Sequences, kind: Begins},
		{name: "goes on", before: []sent{{transactional: true}}, send: sent{sequence: 1, at: 1, transactional: true}, check: Sequences},
		{name: "outside its transaction", before: []sent{{transactional: true}}, send: sent{sequence: 1, at: 1}, check: Sequences, want: ErrTxnState},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewState()
			for _, b := range c.before {
				if _, err := s.Stage(b.batch(t), Trust); err != nil {
					t.Fatal(err)
				}
			}
			s.Commit()
			was := s.AppendFull(nil)
			effect, err := s.Stage(c.send.batch(t), c.check)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if effect.Kind != c.kind || effect.Kind == Duplicate && effect.Duplicate.FirstOffset() != c.first {
				t.Fatalf("effect %+v, want kind %d", effect, c.kind)
			}
			changed := !bytes.Equal(was, s.AppendFull(nil))
			if refused := err != nil || effect.Kind == Duplicate; changed == refused {
				t.Fatalf("refused: %v, state changed: %v", refused, changed)
			}
			s.Rewind(0)
			if !bytes.Equal(was, s.AppendFull(nil)) {
				t.Fatal("Rewind does not restore the state")
			}
		})
	}
}

// TestTransactions: markers end transactions, and the last stable offset waits
// for the oldest open one and for markers that are not below the high watermark.
func TestTransactions(t *testing.T) {
	s := NewState()
	var txns Txns
	feed := func(b batch.Batch, check Check) (Effect, error) {
		t.Helper()
		e, err := s.Stage(b, check)
		s.Commit()
		switch e.Kind {
		case Begins:
			txns.Begin(e.Txn)
		case Completes:
			txns.Complete(e.Txn)
		}
		return e, err
	}
	must := func(b batch.Batch) Effect {
		t.Helper()
		e, err := feed(b, Trust)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	stable := func(hw, want int64) {
		t.Helper()
		if got := txns.LastStable(hw); got != want {
			t.Fatalf("last stable offset %d at high watermark %d, want %d", got, hw, want)
		}
	}
	stable(10, 10)
	must(sent{id: 1, at: 10, n: 2, transactional: true}.batch(t)) // 10..11
	must(sent{id: 2, at: 12, transactional: true}.batch(t))       // 12
	stable(13, 10)
	stable(5, 5)
	if e := must(markerAt(t, 1, 0, 3, 13, false)); e.Kind != Completes || e.Txn != (Completed{1, 10, 13, true}) {
		t.Fatalf("%+v", e)
	}
	stable(13, 10) // the marker itself is not below the watermark
	stable(14, 12)
	if e := must(markerAt(t, 1, 0, 3, 14, true)); e.Kind != Plain { // nothing to end
		t.Fatalf("%+v", e)
	}
	if _, err := feed(markerAt(t, 1, 0, 2, 15, true), Epochs); !errors.Is(err, ErrCoordinatorEpoch) {
		t.Fatal(err)
	}
	must(markerAt(t, 2, 0, 3, 15, true))
	stable(15, 12)
	stable(16, 16)
	if len(txns.open) != 0 {
		t.Fatal(txns.open)
	}
	must(sent{id: 1, at: 16, sequence: 2, transactional: true}.batch(t))
	txns.Reset(s)
	stable(20, 16)
	bad := markerAt(t, 1, 0, 3, 17, true)
	if _, err := feed(bad[:batch.HeaderSize], Trust); !errors.Is(err, ErrMarker) {
		t.Fatal(err)
	}
}

// TestSnapshotBytes compares a snapshot with bytes laid out by hand after
// Kafka's ProducerStateManager.
func TestSnapshotBytes(t *testing.T) {
	s := NewState()
	for _, b := range []batch.Batch{
		sent{id: 0x0102030405060708, epoch: 5, sequence: 7, n: 3, at: 100}.batch(t),
		sent{id: 3, epoch: 1, at: 103, transactional: true}.batch(t),
		markerAt(t, 2, 4, 9, 104, false),
	} {
		if _, err := s.Stage(b, Trust); err != nil {
			t.Fatal(err)
		}
	}
	got := s.AppendSnapshot(nil)
	want := unhex(t, `0001 ........ 00000003
		0000000000000002 0004 ffffffff ffffffffffffffff 00000000 0000000000001 3f0 00000009 ffffffffffffffff
		0000000000000003 0001 00000000 0000000000000067 00000000 000000000000044f ffffffff 0000000000000067
		0102030405060708 0005 00000009 0000000000000066 00000002 000000000000044c ffffffff ffffffffffffffff`, got)
	if !bytes.Equal(got, want) {
		t.Fatalf("got\n%x, want\n%x", got, want)
	}
	entries, err := DecodeSnapshot(got)
	if err != nil {
		t.Fatal(err)
	}
	again := NewState()
	again.Load(entries, 2000, 1<<40)
	if !bytes.Equal(again.AppendSnapshot(nil), got) {
		t.Fatal("decoding and encoding changes it")
	}
	for i := range got {
		broken := bytes.Clone(got)
		broken[i] ^= 1
		if _, err := DecodeSnapshot(broken); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
}

// unhex reads hexadecimal text; the checksum's dots are taken from got.
func unhex(t *testing.T, text string, got []byte) []byte {
	text = strings.Join(strings.Fields(text), "")
	text = strings.Replace(text, "........", hex.EncodeToString(got[2:6]), 1)
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestExpire: a silent producer is forgotten, one with an open transaction is not.
func TestExpire(t *testing.T) {
	s := NewState()
	for _, b := range []batch.Batch{sent{id: 1, at: 0}.batch(t), sent{id: 2, at: 1, transactional: true}.batch(t), sent{id: 3, at: 500}.batch(t)} {
		if _, err := s.Stage(b, Trust); err != nil {
			t.Fatal(err)
		}
	}
	s.Commit()
	if n := s.Expire(2000, 1000); n != 1 || s.Get(1) != nil || s.Get(2) == nil || s.Get(3) == nil {
		t.Fatalf("%d expired, %d left", n, s.Len())
	}
}

// FuzzDecodeSnapshot: no bytes panic, and what is read is written back the same.
func FuzzDecodeSnapshot(tf *testing.F) {
	f := hostiletest.New(tf)
	s := NewState()
	if _, err := s.Stage(sent{id: 1, n: 2}.batch(f), Trust); err != nil {
		f.Fatal(err)
	}
	f.Add(s.AppendSnapshot(nil))
	f.Add(s.AppendFull(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, decode := range []func([]byte) ([]Entry, error){DecodeSnapshot, DecodeFull} {
			entries, err := decode(b)
			if err != nil {
				continue
			}
			s := NewState()
			s.Load(entries, 0, math.MaxInt64)
			full := s.AppendFull(nil)
			again, err := DecodeFull(full)
			if err != nil {
				t.Fatal(err)
			}
			r := NewState()
			r.Load(again, 0, math.MaxInt64)
			if !bytes.Equal(r.AppendFull(nil), full) {
				t.Fatal("not the same twice")
			}
		}
	})
}
