// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/golang/snappy"
)

// spent is what f allocates and how long it takes; the least of three tries.
func spent(f func()) (bytes uint64, took time.Duration) {
	bytes, took = 1<<62, 1<<62
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		f()
		took = min(took, time.Since(began))
		runtime.ReadMemStats(&after)
		bytes = min(bytes, after.TotalAlloc-before.TotalAlloc)
	}
	return bytes, took
}

// CVE-2023-34455: snappy-java made an array as large as a chunk's length said.
// Here a length that lies costs nothing, in either framing.
func TestCVE_2023_34455_SnappyLengths(t *testing.T) {
	head := append([]byte(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	good := snappy.Encode(nil, []byte("good"))
	for name, src := range map[string][]byte{
		"chunk 2^31-1":      append(bytes.Clone(head), 0x7f, 0xff, 0xff, 0xff, 1),
		"chunk -1":          append(bytes.Clone(head), 0xff, 0xff, 0xff, 0xff, 1),
		"chunk -2^31":       append(bytes.Clone(head), 0x80, 0, 0, 0, 1),
		"chunk one past":    append(append(bytes.Clone(head), 0, 0, 0, byte(len(good)+1)), good...),
		"chunk of nothing":  append(bytes.Clone(head), 0, 0, 0, 0),
		"chunk says 2^32-1": append(bytes.Clone(head), 0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0),
		"raw says 2^32-1":   {0xff, 0xff, 0xff, 0xff, 0x0f, 0},
		"raw says 2^28":     {0x80, 0x80, 0x80, 0x80, 0x01, 0xfe, 1, 0},
		"header cut":        head[:12],
		"length cut":        append(bytes.Clone(head), 0, 0),
	} {
		n, _ := spent(func() {
			if _, err := CodecSnappy.Decompress(nil, src, DefaultMaxSize, nil); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if n > 8<<10 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

// Frames that lie about their window, their content or their blocks cost no
// memory for it, however large the cap is.
func TestLyingFrames(t *testing.T) {
	zstdHead := []byte{0x28, 0xb5, 0x2f, 0xfd}
	lz4Frame := func(flags, sizes byte, content []byte, rest ...byte) []byte {
		b := append([]byte{0x04, 0x22, 0x4D, 0x18, flags, sizes}, content...)
		b = append(b, byte(xxh32(b[4:])>>8))
		return append(b, rest...)
	}
	huge := bytes.Repeat([]byte{0xff}, 8)
	for name, c := range map[string]struct {
		codec Codec
		src   []byte
	}{
		"zstd window 2 GiB":      {CodecZstd, append(bytes.Clone(zstdHead), 0, 0xa8, 1, 0, 0)},
		"zstd window 2^41":       {CodecZstd, append(bytes.Clone(zstdHead), 0, 0xff, 1, 0, 0)},
		"zstd content 2^60":      {CodecZstd, append(bytes.Clone(zstdHead), 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0, 0)},
		"zstd content 2^64-1":    {CodecZstd, append(append(bytes.Clone(zstdHead), 0xe0), append(huge, 1, 0, 0)...)},
		"zstd block past":        {CodecZstd, append(bytes.Clone(zstdHead), 0, 0x38, 0xf9, 0xff, 0xff)},
		"lz4 block 2^31-1":       {CodecLZ4, lz4Frame(0x60, 0x70, nil, 0xff, 0xff, 0xff, 0x7f, 0)},
		"lz4 stored 2^31-1":      {CodecLZ4, lz4Frame(0x60, 0x70, nil, 0xff, 0xff, 0xff, 0xff, 0)},
		"lz4 block past":         {CodecLZ4, lz4Frame(0x60, 0x40, nil, 9, 0, 0, 0, 1)},
		"lz4 content 2^64-1":     {CodecLZ4, lz4Frame(0x68, 0x70, huge, 5, 0, 0, 0, 1)},
		"lz4 bad block":          {CodecLZ4, lz4Frame(0x60, 0x70, nil, 4, 0, 0, 0, 0x1f, 'a', 0xff, 0xff, 0, 0, 0, 0)},
		"gzip extra past":        {CodecGzip, []byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 1}},
		"gzip stored block past": {CodecGzip, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 0xff, 0xff, 0, 0, 1}},
	} {
		s := new(Scratch)
		_, _ = c.codec.Decompress(nil, c.src, DefaultMaxSize, s) // its state is made
		n, _ := spent(func() {
			if _, err := c.codec.Decompress(nil, c.src, DefaultMaxSize, s); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if n > 4<<20 { // a frame of few blocks is tried with what those could hold
			t.Errorf("%s: %d bytes allocated for %d", name, n, len(c.src))
		}
	}
}

// A batch of every codec that becomes more than its cap is refused, in little
// memory whatever the cap is, and in a time that the cap bounds. Its records are
// good ones, with values of 32 MiB. (The class of CVE-2026-111073.)
func TestBombsStayWithinTheCap(t *testing.T) {
	const mib = 1 << 20
	var one Builder
	one.Reset(PlainHeader())
	one.Append(now, nil, make([]byte, 32*mib))
	plain, err := one.Finish()
	if err != nil {
		t.Fatal(err)
	}
	for codec := CodecGzip; codec <= CodecZstd; codec++ {
		packed, err := codec.Compress(nil, plain.Records(), LevelDefault, nil)
		if err != nil {
			t.Fatal(err)
		}
		if codec == CodecGzip || codec == CodecZstd { // members and frames may follow one another
			packed = bytes.Repeat(packed, 32)
		}
		b := edited(rawBatch(t, 32, packed), atAttributes, 0, byte(codec))
		for _, limit := range []int{mib, 31 * mib} {
			for _, target := range []Codec{CodecProducer, CodecNone} {
				rule := rules()
				rule.MaxSize, rule.TargetCodec = limit, target
				s := new(Scratch)
				_, _, _ = Check(b, rule, s)
				n, took := spent(func() {
					if _, _, err := Check(b, rule, s); !errors.Is(err, ErrTooLarge) {
						t.Errorf("%s, %d MiB: %v", codec, limit/mib, err)
					}
				})
				// What grows to 4 MiB before the rest is streamed.
				if most := uint64(24 * mib); n > most {
					t.Errorf("%s, %d MiB: %d KiB allocated, at most %d", codec, limit/mib, n>>10, most>>10)
				}
				if took > 20*time.Second {
					t.Errorf("%s, %d MiB: %v", codec, limit/mib, took)
				}
			}
		}
	}
}

// Where the whole of a batch is needed, what may be held bounds it; where it is
// not, a good batch of any size passes in little memory.
func TestHeldIsBounded(t *testing.T) {
	const mib = 1 << 20
	for codec := CodecGzip; codec <= CodecZstd; codec++ {
		b := build(t, 1, func(h *Header) { h.Codec = codec })
		var big Builder
		h := PlainHeader()
		h.Codec = codec
		big.Reset(h)
		big.Append(now, nil, make([]byte, 40*mib))
		big.Append(now, []byte("key"), []byte("value"))
		made, err := big.Finish()
		if err != nil {
			t.Fatal(err)
		}
		b = append(b[:0], made...)
		rule := rules()
		rule.MaxHeld = 16 * mib
		s := new(Scratch)
		n, _ := spent(func() {
			if _, info, err := Check(b, rule, s); err != nil || info.Count != 2 || info.PlainSize < 40*mib {
				t.Errorf("%s: %+v, %v", codec, info, err)
			}
		})
		if n > 24*mib {
			t.Errorf("%s: %d KiB allocated", codec, n>>10)
		}
		rule.TargetCodec = CodecGzip + (codec-CodecGzip+1)%4
		if _, _, err := Check(append(Batch(nil), b...), rule, s); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s to %s: %v", codec, rule.TargetCodec, err)
		}
		rule.MaxHeld = 48 * mib
		out, info, err := Check(append(Batch(nil), b...), rule, s)
		if err != nil || out.Codec() != rule.TargetCodec || out.Verify() != nil || info.Count != 2 {
			t.Errorf("%s to %s: %+v, %v", codec, rule.TargetCodec, info, err)
		}
	}
}

// A wrapper of the old formats with a wrapper inside is refused, however deep,
// and the one outside is a bomb only within the cap.
func TestNestedWrappers(t *testing.T) {
	for _, codec := range []Codec{CodecGzip, CodecSnappy, CodecLZ4} {
		m := message(1, 0, 0, nil, []byte("inside"))
		for depth := range 20 {
			m = wrap(t, 1, int64(depth), codec, m)
		}
		if err := WalkLegacy(m, nil, func(*Record) error { return nil }); !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("%s: %v", codec, err)
		}
		bomb := wrap(t, 1, 0, codec, message(1, 0, 0, nil, make([]byte, 4<<20)))
		if err := WalkLegacy(bomb, &Scratch{MaxSize: 1 << 20}, func(*Record) error { return nil }); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s bomb: %v", codec, err)
		}
	}
}

// Every field of a batch's header takes every lie, alone and with the count,
// with the right checksum: a verdict and no more.
func TestLyingHeaders(t *testing.T) {
	lies := []uint64{0, 1, 1<<15 - 1, 1 << 15, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	s := new(Scratch)
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		good := build(t, 3, func(h *Header) { h.Codec = codec })
		for at := atAttributes; at < HeaderSize; at++ {
			for _, lie := range lies {
				for _, count := range []uint64{3, lie} {
					b := append(Batch(nil), good...)
					copy(b[atCount:], be32(uint32(count)))
					var word [8]byte
					binary.BigEndian.PutUint64(word[:], lie)
					copy(b[at:], word[8-min(8, len(b)-at):])
					b.seal()
					for _, origin := range []Origin{Client, Replica, Coordinator} {
						rule := rules()
						rule.Origin = origin
						if out, _, err := Check(append(Batch(nil), b...), rule, s); err == nil && out.Verify() != nil {
							t.Fatalf("%s: %x at %d became a batch with a wrong checksum", codec, lie, at)
						}
					}
				}
			}
		}
	}
}
