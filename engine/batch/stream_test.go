// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// verdictOf names what kind of error err is.
func verdictOf(err error) string {
	var records *RecordsError
	if errors.As(err, &records) {
		return records.Error()
	}
	for _, kind := range []error{ErrTooLarge, ErrInvalidTimestamp, ErrInvalidRecord, ErrUnreadable, ErrCorrupt} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	if err != nil {
		return "other: " + err.Error()
	}
	return ""
}

// A batch is judged the same as a stream, through windows of any size, as it is
// when all of its records lie in memory. Where it does not decompress to its
// end, the stream may find something else before that.
func TestStreamJudgesAsTheWhole(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	refused := 0
	for range 6000 {
		codec := CodecGzip + Codec(rng.IntN(4))
		count := 1 + rng.IntN(8)
		plain := build(t, count, nil).Records()
		if rng.IntN(4) == 0 {
			var large Builder
			large.Reset(PlainHeader())
			for i := range count {
				large.Append(now, []byte(strings.Repeat("k", rng.IntN(400))), make([]byte, rng.IntN(90_000)), RecordHeader{strings.Repeat("h", i*30), nil})
			}
			made, err := large.Finish()
			if err != nil {
				t.Fatal(err)
			}
			plain = append([]byte(nil), made.Records()...)
		}
		at := func(n int) int { return min(rng.IntN(n), rng.IntN(n)) }
		for range rng.IntN(3) {
			switch rng.IntN(4) {
			case 0:
				plain[at(len(plain))] ^= 1 << rng.IntN(8)
			case 1:
				plain[at(len(plain))] = byte(rng.Uint32())
			case 2:
				plain = plain[:1+at(len(plain))]
			case 3:
				plain = append(plain, byte(rng.Uint32()))
			}
		}
		packed, err := codec.Compress(nil, plain, LevelDefault, nil)
		if err != nil {
			t.Fatal(err)
		}
		damaged := rng.IntN(3) == 0
		if damaged {
			packed[rng.IntN(len(packed))] ^= 1 << rng.IntN(8)
		}
		b := edited(rawBatch(t, count, packed), atAttributes, 0, byte(codec))
		rule := rules()
		rule.Compact = rng.IntN(2) == 0
		limit := 1 << 20
		if rng.IntN(4) == 0 {
			limit = max(1, len(plain)-1+rng.IntN(2))
		}
		var one Scratch
		var wantInfo Info
		var wantDense bool
		records, want := one.openOnce(b, limit)
		if want == nil {
			wantInfo, wantDense, want = checkRecords(b, records, &rule)
		}
		two := Scratch{window: make([]byte, []int{16, 17, 100, 1000, windowSize}[rng.IntN(5)])}
		info, dense, got := two.checkStream(b, limit, limit, &rule)
		if got != nil {
			refused++
		}
		switch {
		case errors.Is(got, errWindow) && damaged: // then the whole is opened
		case want == nil && (got != nil || info != wantInfo || dense != wantDense):
			t.Fatalf("%s: %+v, %v, %v as a stream; %+v, %v as a whole", codec, info, dense, got, wantInfo, wantDense)
		case errors.Is(want, ErrUnreadable) && damaged, errors.Is(want, ErrTooLarge):
			if got == nil {
				t.Fatalf("%s: good as a stream; as a whole %v", codec, want)
			}
		case verdictOf(want) != verdictOf(got):
			t.Fatalf("%s, window of %d, limit %d: %v as a stream, %v as a whole", codec, len(two.window), limit, got, want)
		}
	}
	if refused < 1000 || refused > 5500 {
		t.Errorf("%d of 6000 batches were refused", refused)
	}
}

// A frame that looks back further than a stream keeps is opened at once, if it
// may be held.
func TestZstdWindowsBeyondTheStream(t *testing.T) {
	var large Builder
	large.Reset(PlainHeader())
	large.Append(now, nil, make([]byte, 3<<20))
	made, err := large.Finish()
	if err != nil {
		t.Fatal(err)
	}
	plain := made.Records()
	// Magic, no checksum, a window of 16 MiB, then raw blocks of the records.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 14 << 3}
	for rest := plain; len(rest) > 0; {
		n := min(len(rest), zstdMaxBlock)
		head := uint32(n) << 3
		if n == len(rest) {
			head |= 1
		}
		frame = append(append(frame, byte(head), byte(head>>8), byte(head>>16)), rest[:n]...)
		rest = rest[n:]
	}
	b := edited(rawBatch(t, 1, frame), atAttributes, 0, byte(CodecZstd))
	rule := rules()
	var s Scratch
	if _, _, err := s.checkStream(b, 1<<30, 1<<30, &rule); !errors.Is(err, errWindow) {
		t.Fatalf("as a stream: %v", err)
	}
	_, info, err := Check(b, rule, &s)
	if err != nil || info != (Info{MaxTimestamp: now, Count: 1, PlainSize: len(plain)}) {
		t.Fatalf("%+v, %v", info, err)
	}
	rule.MaxHeld = 2 << 20
	if _, _, err = Check(b, rule, &s); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("with less memory: %v", err)
	}
}
