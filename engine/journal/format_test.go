// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// example is what FORMAT.md shows.
func example() (group []byte, checkpoint []byte) {
	log := LogID{Topic: [16]byte{0xa1, 15: 0xa2}, Creation: 3, Partition: 7}
	entries := []Entry{
		{Kind: KindCreated, Log: log, Last: 40, Data: []byte("orders-7")},
		{Kind: KindBatch, Log: log, Epoch: 2, Base: 0, Last: 1, End: 0, CRC: 0xcafe, Data: []byte("(batch)")},
		{Kind: KindSynced, Log: log, Epoch: 2, Base: 2, Last: 9999, End: 2},
	}
	group = make([]byte, GroupHeaderSize)
	for i := range entries {
		at := len(group)
		group = append(group, make([]byte, entries[i].Size())...)
		entries[i].put(group[at:])
	}
	h := Header{Journal: ID{0x1d, 15: 0x1e}, Position: 4096, Sequence: 2, Padded: 4096, Next: FirstGroup, Entries: len(entries)}
	h.seal(group)
	c := Checkpoint{
		Sequence: 9, Journal: h.Journal, Position: 4096, GroupSequence: 2, GroupMax: FirstGroup, FileBytes: 128 << 20, Zeroed: 32 << 20,
		Store: [16]byte{0x57}, StoreVersion: 41, Mark: Mark{Inode: 77, MtimeN: 1_700_000_000_000_000_000}, NextCreation: 4,
		Logs: []LogState{{ID: log, Name: "orders-7", Synced: 2, Start: 0, Producers: []byte("(state)")}},
	}
	return group, c.Append(nil)
}

// FORMAT.md's hex is what this code writes, and reads.
func TestFormatExample(t *testing.T) {
	text, err := os.ReadFile("../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	group, checkpoint := example()
	blocks := regexp.MustCompile("(?s)```hex\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d hex blocks in FORMAT.md, want 2", len(blocks))
	}
	for i, want := range [][]byte{group, checkpoint} {
		var digits strings.Builder
		for _, line := range strings.Split(blocks[i][1], "\n") {
			line, _, _ = strings.Cut(line, "#")
			digits.WriteString(strings.ReplaceAll(line, " ", ""))
		}
		got, err := hex.DecodeString(digits.String())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("block %d of FORMAT.md is not what is written:\n%s", i, hexLines(want))
		}
	}
	h, entries, err := DecodeGroup(group)
	if err != nil || h.Sequence != 2 || h.Entries != 3 {
		t.Fatalf("%+v, %v", h, err)
	}
	for range h.Entries {
		if _, entries, err = DecodeEntry(entries); err != nil {
			t.Fatal(err)
		}
	}
	if len(entries) != 0 {
		t.Fatalf("%d bytes behind the last entry", len(entries))
	}
}

func hexLines(b []byte) string {
	var out strings.Builder
	for at := 0; at < len(b); at += 16 {
		line := b[at:min(at+16, len(b))]
		for i := 0; i < len(line); i += 4 {
			out.WriteString(hex.EncodeToString(line[i:min(i+4, len(line))]) + " ")
		}
		out.WriteString("\n")
	}
	return out.String()
}

// A checkpoint reads back as it was written.
func TestCheckpointRoundTrip(t *testing.T) {
	_, b := example()
	c, err := DecodeCheckpoint(b)
	if err != nil {
		t.Fatal(err)
	}
	if again := c.Append(nil); !bytes.Equal(again, b) {
		t.Fatal("encoded again, it is other bytes")
	}
	if c.Logs[0].Name != "orders-7" || !reflect.DeepEqual(c.Logs[0].Producers, []byte("(state)")) {
		t.Fatalf("%+v", c.Logs[0])
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		if _, err := DecodeCheckpoint(bad); err == nil {
			t.Fatalf("byte %d flipped and nobody noticed", i)
		}
	}
}

// A checkpoint of version 1 is read: it says nothing of the store's version.
func TestCheckpointVersion1(t *testing.T) {
	_, b := example()
	old := append(bytes.Clone(b[:checkpointHeaderV1]), b[checkpointHeaderSize:]...)
	binary.BigEndian.PutUint32(old[4:], 1<<16)
	binary.BigEndian.PutUint64(old[16:], uint64(len(old)))
	binary.BigEndian.PutUint64(old[checkpointHashOffset:], checkpointHash(old))
	want, err := DecodeCheckpoint(b)
	if err != nil {
		t.Fatal(err)
	}
	want.StoreVersion = 0
	if got, err := DecodeCheckpoint(old); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
}

// Whatever the bytes are: no panic, and what decodes encodes to itself.
func FuzzDecodeGroup(tf *testing.F) {
	f := hostiletest.New(tf)
	group, _ := example()
	f.Add(group)
	f.Add(group[:70])
	f.Add([]byte("SJG1"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, entries, err := DecodeGroup(b)
		if err != nil {
			return
		}
		for range min(h.Entries, len(b)) {
			var e Entry
			before := entries
			if e, entries, err = DecodeEntry(entries); err != nil {
				return
			}
			again := make([]byte, e.Size())
			e.put(again)
			if d, _, err := DecodeEntry(again); err != nil || !reflect.DeepEqual(d, e) || len(again)+len(entries) != len(before) {
				t.Fatalf("%+v became %+v, %v", e, d, err)
			}
		}
	})
}

// The entry decoder sees bytes that no hash vouches for as well.
func FuzzDecodeEntry(tf *testing.F) {
	f := hostiletest.New(tf)
	group, _ := example()
	f.Add(group[GroupHeaderSize:])
	f.Add(make([]byte, EntryHeaderSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		for n := 0; len(b) > 0; n++ {
			e, rest, err := DecodeEntry(b)
			if err != nil {
				return
			}
			if e.Size()+len(rest) != len(b) {
				t.Fatalf("an entry of %d bytes and %d behind it in %d", e.Size(), len(rest), len(b))
			}
			b = rest
		}
	})
}

// A checkpoint's hash is mended, so that what it guards is reached.
func FuzzDecodeCheckpoint(tf *testing.F) {
	f := hostiletest.New(tf)
	_, b := example()
	f.Add(b)
	f.Add(b[:checkpointHeaderSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= checkpointHeaderSize {
			mendCheckpoint(b)
		}
		c, err := DecodeCheckpoint(b)
		if err != nil {
			return
		}
		if again, err := DecodeCheckpoint(c.Append(nil)); err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v became %+v, %v", c, again, err)
		}
	})
}
