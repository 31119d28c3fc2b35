// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand"
	"runtime"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
)

type bytesBuffer = bytes.Buffer

func text(n int) []byte { return bytes.Repeat([]byte("lorem ipsum "), n/12+1)[:n] }

func noise(n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(b)
	return b
}

// Every codec gives back what it was given, behind what stood there, with its
// state used again.
func TestCodecRoundTrip(t *testing.T) {
	scratch := new(Scratch)
	for c := CodecNone; c <= CodecZstd; c++ {
		for _, n := range []int{0, 1, 1000, 100_000} {
			packed, err := c.Compress(nil, text(n), LevelDefault, scratch)
			if err != nil {
				t.Fatal(err)
			}
			if n == 100_000 && c != CodecNone && len(packed) > n/2 {
				t.Errorf("%s: %d of %d", c, len(packed), n)
			}
			got, err := c.Decompress([]byte("x"), packed, n, scratch)
			if err != nil || string(got) != "x"+string(text(n)) {
				t.Fatalf("%s, %d: %d bytes, %v", c, n, len(got), err)
			}
			if n > 0 {
				if got, err := c.Decompress([]byte("x"), packed, n-1, scratch); !errors.Is(err, ErrTooLarge) || string(got) != "x" {
					t.Fatalf("%s, %d with a cap below: %v", c, n, err)
				}
				for _, cut := range []int{1, len(packed) / 2, len(packed) - 1} {
					if c == CodecNone {
						break // nothing says how long it was
					}
					if got, err := c.Decompress(nil, packed[:cut], n, scratch); err == nil && len(got) == n {
						t.Fatalf("%s, %d: whole from %d of %d bytes", c, n, cut, len(packed))
					}
				}
			}
		}
	}
	for _, c := range []Codec{CodecProducer, 5, -3} {
		if _, err := c.Compress(nil, nil, 0, nil); !errors.Is(err, ErrUnsupportedCodec) {
			t.Error(c, err)
		}
		if _, err := c.Decompress(nil, nil, 0, nil); !errors.Is(err, ErrUnsupportedCodec) {
			t.Error(c, err)
		}
	}
}

// Names are those of compression.type.
func TestCodecNames(t *testing.T) {
	for name, c := range map[string]Codec{"producer": CodecProducer, "uncompressed": CodecNone, "gzip": CodecGzip, "snappy": CodecSnappy, "lz4": CodecLZ4, "zstd": CodecZstd} {
		if got, err := ParseCodec(name); err != nil || got != c {
			t.Error(name, got, err)
		}
	}
	for _, name := range []string{"none", "", "ZSTD", "brotli"} {
		if _, err := ParseCodec(name); !errors.Is(err, ErrUnsupportedCodec) {
			t.Error(name, err)
		}
	}
}

// Snappy comes raw, framed, and framed twice.
func TestSnappyFramings(t *testing.T) {
	want := text(100_000)
	for name, packed := range map[string][]byte{
		"raw":    snappy.Encode(nil, want),
		"xerial": snappyCompress(nil, want),
		"twice":  snappyCompress(snappyCompress(nil, want[:50_000]), want[50_000:]),
	} {
		got, err := CodecSnappy.Decompress(nil, packed, len(want), nil)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for name, packed := range map[string][]byte{
		"header only, cut":      []byte(xerialMagic + "\x00\x00"),
		"length cut":            append(snappyCompress(nil, nil), 0, 0),
		"length beyond the end": append(snappyCompress(nil, nil), 0, 0, 0, 9, 1),
		"claims 2 GiB":          {0xff, 0xff, 0xff, 0xff, 0x07, 0},
		"empty":                 {},
	} {
		if _, err := CodecSnappy.Decompress(nil, packed, 1<<31-1, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// LZ4 frames that Kafka's readers refuse are refused.
func TestLZ4Frames(t *testing.T) {
	good, err := CodecLZ4.Compress(nil, text(1000), LevelDefault, nil)
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = v
		b[6] = byte(xxh32(b[4:6]) >> 8)
		return b
	}
	for name, b := range map[string][]byte{
		"no magic": append([]byte{1}, good[1:]...), "version 0": change(4, 0x20), "dependent blocks": change(4, 0x40),
		"reserved bit": change(4, 0x62), "dictionary": change(4, 0x61), "block size 3": change(5, 0x30), "high bit": change(5, 0xc0),
		"checksum": append(append(append([]byte(nil), good[:6]...), good[6]^1), good[7:]...),
		"no end":   good[:len(good)-4], "empty": {}, "block larger than allowed": append(append([]byte(nil), good[:7]...), 0, 0, 2, 0x80),
	} {
		if _, err := CodecLZ4.Decompress(nil, b, 1<<20, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := append([]byte(nil), good...)
	wrong[6] ^= 1
	if got, err := lz4Decompress(nil, wrong, 1<<20, lz4Lenient); err != nil || len(got) != 1000 {
		t.Errorf("lenient: %v", err)
	}
	// with the checksum of a block, right and wrong
	block := append([]byte(nil), good[7:len(good)-4]...)
	with := change(4, 0x70)[:7]
	with = append(with, block...)
	with = binary.LittleEndian.AppendUint32(with, xxh32(block[4:]))
	with = append(with, 0, 0, 0, 0)
	if got, err := CodecLZ4.Decompress(nil, with, 1<<20, nil); err != nil || len(got) != 1000 {
		t.Errorf("block checksum: %v", err)
	}
	with[len(with)-5] ^= 1
	if _, err := CodecLZ4.Decompress(nil, with, 1<<20, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("wrong block checksum: %v", err)
	}
}

// A small input cannot make us allocate much, whatever it claims.
func TestClaimsDoNotSizeAllocations(t *testing.T) {
	giant, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	giant.Reset(&stream)
	if _, err := giant.Write(make([]byte, 32<<20)); err != nil || giant.Close() != nil {
		t.Fatal(err)
	}
	claims := stream.Bytes() // really 32 MiB of zeros, without saying so
	cases := map[string]struct {
		codec Codec
		src   []byte
	}{
		"zstd frame that claims 1 GiB": {CodecZstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 1, 0, 0}},
		"zstd frame cut short":         {CodecZstd, claims[:40]},
		"snappy block":                 {CodecSnappy, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}},
		"lz4 frame of 4 MiB blocks":    {CodecLZ4, []byte{4, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 1, 0, 0, 0, 0x1f, 0, 0, 0, 0}},
	}
	for name, c := range cases {
		scratch := new(Scratch)
		if _, err := c.codec.Decompress(nil, c.src, 1<<30, scratch); err == nil { // and the decoder's own tables
			t.Fatalf("%s: accepted", name)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = c.codec.Decompress(nil, c.src, 1<<30, scratch)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
			t.Errorf("%s: %d bytes allocated for %d", name, grown, len(c.src))
		}
	}
	if got, err := CodecZstd.Decompress(nil, claims, 32<<20, nil); err != nil || len(got) != 32<<20 {
		t.Errorf("an honest frame: %d, %v", len(got), err)
	}
	if _, err := CodecZstd.Decompress(nil, claims, 16<<20, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a bomb: %v", err)
	}
}

// Known values of xxHash32 with seed 0.
func TestXXH32(t *testing.T) {
	for in, want := range map[string]uint32{"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff, "Nobody inspects the spammish repetition": 0xe2293b2f} {
		if got := xxh32([]byte(in)); got != want {
			t.Errorf("%q: %08x, want %08x", in, got, want)
		}
	}
}
