// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"slices"
	"testing"
)

// message makes an old message; magic 1 gets timestamp 7.
func message(magic int8, offset int64, attributes byte, key, value []byte) Legacy {
	body := []byte{byte(magic), attributes}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, 7)
	}
	for _, v := range [][]byte{key, value} {
		if v == nil {
			body = binary.BigEndian.AppendUint32(body, 1<<32-1)
			continue
		}
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(v))), v...)
	}
	m := binary.BigEndian.AppendUint64(nil, uint64(offset))
	m = binary.BigEndian.AppendUint32(m, uint32(len(body)+4))
	m = binary.BigEndian.AppendUint32(m, crc32.ChecksumIEEE(body))
	return append(m, body...)
}

// wrap compresses messages into one.
func wrap(t *testing.T, magic int8, offset int64, codec Codec, inside ...Legacy) Legacy {
	t.Helper()
	var plain []byte
	for _, m := range inside {
		plain = append(plain, m...)
	}
	packed, err := codec.Compress(nil, plain, LevelDefault, nil)
	if err != nil {
		t.Fatal(err)
	}
	return message(magic, offset, byte(codec), nil, packed)
}

func offsets(m Legacy) (list []int64, err error) {
	err = WalkLegacy(m, nil, func(r *Record) error {
		if int(r.OffsetDelta) != len(list) {
			return errors.New("offset delta")
		}
		list = append(list, r.Offset)
		return nil
	})
	return list, err
}

// The offsets inside count from 0 with magic 1, whatever gaps compaction left,
// and are absolute with magic 0.
func TestLegacyOffsets(t *testing.T) {
	one := wrap(t, 1, 105, CodecGzip, message(1, 0, 0, nil, nil), message(1, 3, 0, nil, nil), message(1, 5, 0, nil, nil))
	if got, err := offsets(one); err != nil || len(got) != 3 || got[0] != 100 || got[1] != 103 || got[2] != 105 {
		t.Fatal(got, err)
	}
	zero := wrap(t, 0, 105, CodecSnappy, message(0, 101, 0, nil, nil), message(0, 105, 0, nil, nil))
	if got, err := offsets(zero); err != nil || len(got) != 2 || got[0] != 101 || got[1] != 105 {
		t.Fatal(got, err)
	}
	if size, magic, err := Peek(one); err != nil || size != len(one) || magic != 1 {
		t.Fatal(size, magic, err)
	}
}

// Broken wrappers are refused with a reason, never read as something else.
func TestLegacyRefusals(t *testing.T) {
	inner := message(1, 0, 0, []byte("k"), []byte("v"))
	for name, c := range map[string]struct {
		m    Legacy
		want error
	}{
		"nothing inside":   {wrap(t, 1, 1, CodecGzip), ErrInvalidRecord},
		"null value":       {message(1, 1, byte(CodecGzip), nil, nil), ErrInvalidRecord},
		"not compressed":   {message(1, 1, byte(CodecGzip), nil, []byte("plain")), ErrUnreadable},
		"other magic":      {wrap(t, 1, 1, CodecGzip, message(0, 0, 0, nil, nil)), ErrInvalidRecord},
		"wrapper inside":   {wrap(t, 1, 1, CodecGzip, wrap(t, 1, 0, CodecGzip, inner)), ErrInvalidRecord},
		"cut inside":       {wrap(t, 1, 1, CodecGzip, inner[:len(inner)-1]), ErrInvalidRecord},
		"zstd":             {wrap(t, 1, 1, CodecZstd, inner), ErrInvalidRecord},
		"unknown codec":    {message(1, 1, 7, nil, []byte("x")), ErrUnreadable},
		"length inside":    {wrap(t, 1, 1, CodecGzip, inner, Legacy{11: 13}), ErrCorrupt},
		"offset too low":   {wrap(t, 1, 1, CodecGzip, message(1, 2, 0, nil, nil)), ErrInvalidRecord},
		"key over the end": {func() Legacy { m := message(1, 1, 0, []byte("k"), nil); m[29] = 200; return m }(), ErrUnreadable},
	} {
		if _, err := offsets(c.m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	big := wrap(t, 1, 1, CodecGzip, message(1, 0, 0, nil, make([]byte, 10_000)))
	if err := WalkLegacy(big, &Scratch{MaxSize: 5000}, func(*Record) error { return nil }); !errors.Is(err, ErrTooLarge) {
		t.Errorf("cap: %v", err)
	}
}

// What Kafka does not mind is read: bytes behind the value, a wrapper whose
// offset the client left 0, a message inside that is cut short at the end.
func TestLegacyLeniency(t *testing.T) {
	inner := message(1, 0, 0, []byte("k"), []byte("v"))
	for name, c := range map[string]struct {
		m    Legacy
		want []int64
	}{
		"bytes after":    {append(message(1, 9, 0, nil, nil), 1), []int64{9}},
		"wrapper at 0":   {wrap(t, 1, 0, CodecGzip, inner, message(1, 1, 0, nil, nil)), []int64{0, 1}},
		"cut at the end": {wrap(t, 1, 7, CodecGzip, inner, inner[:20]), []int64{7}},
	} {
		if got, err := offsets(c.m); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// One flipped bit anywhere is seen, by the checksum or by the sizes.
func TestChecksumsSeeEveryBit(t *testing.T) {
	for _, name := range []string{"magic0-gzip", "magic1-none", "magic2-none", "magic2-commit"} {
		good, err := os.ReadFile("testdata/kafka/" + name + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		size, _, err := Peek(good)
		if err != nil {
			t.Fatal(err)
		}
		good = good[:size]
		for bit := 0; bit < 8*size; bit++ {
			at := bit / 8
			if at < 8 || name[5] == '2' && at >= 12 && at < 16 { // base offset and leader epoch are not covered
				continue
			}
			b := append([]byte(nil), good...)
			b[at] ^= 1 << (bit % 8)
			if err := walkAny(b, nil, func(*Record) error { return nil }); err == nil {
				t.Fatalf("%s: bit %d of byte %d is not seen", name, bit%8, at)
			}
		}
	}
}

// Peek tells what it is asked and why it cannot.
func TestPeek(t *testing.T) {
	head := func(length uint32, magic byte) []byte {
		b := make([]byte, PeekSize)
		binary.BigEndian.PutUint32(b[8:], length)
		b[16] = magic
		return b
	}
	for name, c := range map[string]struct {
		b    []byte
		size int
		want error
	}{
		"16 bytes":       {make([]byte, 16), 0, ErrShort},
		"smallest":       {head(49, 2), 61, nil},
		"too small":      {head(48, 2), 0, ErrCorrupt},
		"smallest of 0":  {head(14, 0), 26, nil},
		"too small of 0": {head(13, 0), 0, ErrCorrupt},
		"smallest of 1":  {head(22, 1), 34, nil},
		"too small of 1": {head(21, 1), 0, ErrCorrupt},
		"zero length":    {head(0, 2), 0, ErrCorrupt},
		"negative":       {head(1<<32-1, 2), 0, ErrCorrupt},
		"largest":        {head(1<<31-1, 2), 0, ErrTooLarge},
		"magic 3":        {head(100, 3), 112, ErrUnsupportedMagic},
		"magic -1":       {head(100, 255), 112, ErrUnsupportedMagic},
	} {
		size, _, err := Peek(c.b)
		if size != c.size || !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %d, %v", name, size, err)
		}
	}
}
