// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What Kafka's own classes wrote is read as it was meant: every magic, codec
// and timestamp type. See testdata/kafka/README.
func TestReadsWhatKafkaWrote(t *testing.T) {
	files, err := filepath.Glob("testdata/kafka/magic*-*.bin")
	if err != nil || len(files) < 20 {
		t.Fatal(err, files)
	}
	scratch := new(Scratch)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(file, "commit") || strings.Contains(file, "abort") {
				checkMarker(t, b, strings.Contains(file, "commit"))
				return
			}
			n := 0
			each := func(r *Record) error {
				if got, want := fmt.Sprint(describe(r)), wantRecord(file, n); got != want {
					return fmt.Errorf("record %d: %.200s, want %.200s", n, got, want)
				}
				n++
				return nil
			}
			if err := walkAny(b, scratch, each); err != nil || n != 5 {
				t.Fatal(n, err)
			}
		})
	}
}

// walkAny verifies and walks a run of batches or messages of any magic.
func walkAny(b []byte, scratch *Scratch, fn func(*Record) error) error {
	for len(b) > 0 {
		_, magic, err := Peek(b)
		if err != nil {
			return err
		}
		if magic < 2 {
			var m Legacy
			if m, b, err = NextLegacy(b); err == nil {
				if err = m.Verify(); err == nil {
					err = WalkLegacy(m, scratch, fn)
				}
			}
		} else {
			var batch Batch
			if batch, b, err = Next(b); err == nil {
				if err = batch.Verify(); err == nil {
					err = Walk(batch, scratch, fn)
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func describe(r *Record) string {
	s := fmt.Sprintf("%d@%d %q/%v %q/%v", r.Offset, r.Timestamp, r.Key, r.KeyNull, r.Value, r.ValueNull)
	r.EachHeader(func(k, v []byte) { s += fmt.Sprintf(" %s=%q/%v", k, v, v == nil) })
	return s
}

// wantRecord is what record i of a file holds, by its name.
func wantRecord(file string, i int) string {
	r := Record{Offset: int64(100 + i), Timestamp: 1700000000000 + int64(i)}
	if i == 3 {
		r.Timestamp += 497
	}
	if strings.Contains(file, "magic0") {
		r.Timestamp = NoTimestamp
	} else if strings.Contains(file, "appendtime") {
		r.Timestamp = 1700000009999
	}
	times := 10000
	if strings.Contains(file, "none") {
		times = 10
	}
	r.Key, r.Value = fmt.Appendf(nil, "key-%d", i), []byte("value "+strings.Repeat("x", i*times))
	if i == 1 {
		r.Key, r.KeyNull = nil, true
	}
	if i == 2 {
		r.Value, r.ValueNull = nil, true
	}
	s := describe(&r)
	if strings.Contains(file, "magic2") {
		if i == 4 {
			return s + ` h4=""/true`
		}
		return s + fmt.Sprintf(` h%d="hv%d"/false`, i, i)
	}
	return s
}

func checkMarker(t *testing.T, b []byte, commit bool) {
	t.Helper()
	batch, rest, err := Next(b)
	if err != nil || len(rest) > 0 || batch.Verify() != nil || !batch.IsControl() || !batch.IsTransactional() || batch.ProducerID() != 4242 ||
		batch.ProducerEpoch() != 3 || batch.BaseSequence() != NoSequence || batch.LastSequence() != NoSequence || batch.LeaderEpoch() != 6 {
		t.Fatalf("%v: %x", err, b)
	}
	if err := Walk(batch, nil, func(r *Record) error {
		if m, ok, err := r.Marker(); err != nil || !ok || m != (Marker{Commit: commit, CoordinatorEpoch: 9}) {
			t.Errorf("%+v, %v, %v", m, ok, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// and we write the same bytes
	h := PlainHeader()
	h.BaseOffset, h.LeaderEpoch, h.ProducerID, h.ProducerEpoch, h.Transactional, h.Control = 100, 6, 4242, 3, true, true
	var builder Builder
	builder.Reset(h)
	builder.AppendMarker(1700000000000, Marker{Commit: commit, CoordinatorEpoch: 9})
	if mine, err := builder.Finish(); err != nil || string(mine) != string(b) {
		t.Fatalf("%v\nours   %x\nKafka's %x", err, mine, b)
	}
}

// An uncompressed batch comes out of the Builder byte for byte as Kafka's.
func TestBuildsWhatKafkaBuilds(t *testing.T) {
	for name, appendTime := range map[string]int64{"magic2-none": NoTimestamp, "magic2-none-appendtime": 1700000009999} {
		file, err := os.ReadFile("testdata/kafka/" + name + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		var b Builder
		b.Reset(Header{BaseOffset: 100, LeaderEpoch: 6, ProducerID: 4242, ProducerEpoch: 3, BaseSequence: 17, Transactional: true, AppendTime: appendTime})
		for i := range 5 {
			ts := 1700000000000 + int64(i)
			key, value, header := fmt.Appendf(nil, "key-%d", i), []byte("value "+strings.Repeat("x", i*10)), fmt.Appendf(nil, "hv%d", i)
			switch i {
			case 1:
				key = nil
			case 2:
				value = nil
			case 3:
				ts += 497
			case 4:
				header = nil
			}
			b.Append(ts, key, value, RecordHeader{fmt.Sprintf("h%d", i), header})
		}
		if mine, err := b.Finish(); err != nil || string(mine) != string(file) {
			t.Fatalf("%s: %v\nours    %x\nKafka's %x", name, err, mine, file)
		}
	}
}

// Each codec understands franz-go's, and the other way round, at sizes around
// every block boundary.
func TestCodecsAgreeWithFranz(t *testing.T) {
	scratch := new(Scratch)
	theirs := kgo.DefaultDecompressor()
	for codec, choice := range map[Codec]kgo.CompressionCodec{CodecGzip: kgo.GzipCompression(), CodecSnappy: kgo.SnappyCompression(),
		CodecLZ4: kgo.Lz4Compression(), CodecZstd: kgo.ZstdCompression()} {
		compressor, err := kgo.DefaultCompressor(choice)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 100, 32<<10 - 1, 32 << 10, 32<<10 + 1, 64 << 10, 64<<10 + 1, 300_000} {
			for kind, src := range map[string][]byte{"text": text(n), "noise": noise(n)} {
				for _, level := range []int{LevelDefault, 1, 9} {
					if n == 0 && codec == CodecSnappy {
						break // franz takes a header without blocks for raw snappy; Java does not
					}
					packed, err := codec.Compress([]byte("before"), src, level, scratch)
					if err != nil || !strings.HasPrefix(string(packed), "before") {
						t.Fatal(codec, n, err)
					}
					got, err := theirs.Decompress(packed[6:], kgo.CompressionCodecType(codec))
					if err != nil || string(got) != string(src) {
						t.Fatalf("%s, %d bytes of %s, level %d: franz reads %d, %v", codec, n, kind, level, len(got), err)
					}
				}
				packed, used := compressor.Compress(new(bytesBuffer), src)
				if used != kgo.CompressionCodecType(codec) {
					continue // it did not get smaller
				}
				got, err := codec.Decompress([]byte("before"), packed, n, scratch)
				if err != nil || string(got) != "before"+string(src) {
					t.Fatalf("%s, %d bytes of %s: we read %d, %v", codec, n, kind, len(got), err)
				}
				if n > 0 {
					if _, err := codec.Decompress(nil, packed, n-1, scratch); !errors.Is(err, ErrTooLarge) {
						t.Fatalf("%s, %d bytes of %s above the cap: %v", codec, n, kind, err)
					}
				}
			}
		}
	}
}
