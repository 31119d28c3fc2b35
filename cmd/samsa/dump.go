// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/samsa-broker/samsa/engine/batch"
)

// dumper prints files in the words of Kafka's DumpLogSegments (3.9,
// kafka.tools.DumpLogSegments).
type dumper struct {
	out     io.Writer
	deep    bool
	payload bool
	scratch batch.Scratch
}

func (d *dumper) printf(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

// file prints one file by what its name ends in.
func (d *dumper) file(name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	base, ext, _ := strings.Cut(filepath.Base(name), ".")
	start, err := strconv.ParseInt(base, 10, 64)
	if err != nil {
		return fmt.Errorf("%s: the name of a segment's file begins with its base offset", name)
	}
	d.printf("Dumping %s\n", name)
	switch strings.TrimSuffix(ext, ".deleted") {
	case "log":
		d.log(filepath.Base(name), start, content)
	case "index":
		d.index(content, start)
	case "timeindex":
		d.timeIndex(content, start)
	case "txnindex":
		d.txnIndex(content)
	case "snapshot":
		return d.snapshot(name, content)
	default:
		return fmt.Errorf("%s: .%s is not a file of a segment", name, ext)
	}
	return nil
}

// log prints a segment batch by batch.
func (d *dumper) log(base string, start int64, content []byte) {
	d.printf("Log starting offset: %d\n", start)
	rest := content
	for len(rest) > 0 {
		position := len(content) - len(rest)
		_, magic, err := batch.Peek(rest)
		if err == nil && magic < 2 {
			rest, err = d.legacy(rest, position)
		} else if err == nil {
			rest, err = d.batch(rest, position)
		}
		if err != nil {
			d.printf("Found %d invalid bytes at the end of %s\n", len(rest), base)
			return
		}
	}
}

func (d *dumper) batch(content []byte, position int) (rest []byte, err error) {
	b, rest, err := batch.Next(content)
	if err != nil {
		return content, err
	}
	horizon := "OptionalLong.empty"
	if ms, ok := b.DeleteHorizon(); ok {
		horizon = fmt.Sprintf("OptionalLong[%d]", ms)
	}
	d.printf("baseOffset: %d lastOffset: %d count: %d baseSequence: %d lastSequence: %d producerId: %d producerEpoch: %d partitionLeaderEpoch: %d isTransactional: %t isControl: %t deleteHorizonMs: %s",
		b.BaseOffset(), b.LastOffset(), b.Count(), b.BaseSequence(), b.LastSequence(), b.ProducerID(), b.ProducerEpoch(), b.LeaderEpoch(), b.IsTransactional(), b.IsControl(), horizon)
	d.printf(" position: %d %s: %d size: %d magic: %d compresscodec: %s crc: %d isvalid: %t\n",
		position, timestampType(b.LogAppendTime()), b.MaxTimestamp(), b.Size(), b.Magic(), b.Codec(), b.CRC(), b.Verify() == nil)
	if !d.deep && !d.payload {
		return rest, nil
	}
	return rest, batch.Walk(b, &d.scratch, func(r *batch.Record) error {
		d.record(b, r)
		return nil
	})
}

func timestampType(logAppend bool) string {
	if logAppend {
		return "LogAppendTime"
	}
	return "CreateTime"
}

func (d *dumper) record(b batch.Batch, r *batch.Record) {
	sequence := int32(-1)
	if b.BaseSequence() >= 0 {
		sequence = batch.AddSequence(b.BaseSequence(), r.OffsetDelta)
	}
	var headers []string
	r.EachHeader(func(key, _ []byte) { headers = append(headers, string(key)) })
	timestamp := r.Timestamp
	if b.LogAppendTime() {
		timestamp = b.MaxTimestamp()
	}
	d.printf("| offset: %d %s: %d keySize: %d valueSize: %d sequence: %d headerKeys: [%s]", b.BaseOffset()+int64(r.OffsetDelta),
		timestampType(b.LogAppendTime()), timestamp, size(r.Key, r.KeyNull), size(r.Value, r.ValueNull), sequence, strings.Join(headers, ","))
	if b.IsControl() {
		d.marker(r)
	} else if d.payload {
		d.keyAndPayload(r.Key, r.Value, r.KeyNull, r.ValueNull)
	}
	d.printf("\n")
}

func (d *dumper) keyAndPayload(key, value []byte, keyNull, valueNull bool) {
	if !keyNull {
		d.printf(" key: %s", key)
	}
	if !valueNull {
		d.printf(" payload: %s", value)
	}
}

func size(v []byte, null bool) int {
	if null {
		return -1
	}
	return len(v)
}

func (d *dumper) marker(r *batch.Record) {
	m, ok, err := r.Marker()
	if !ok || err != nil {
		return
	}
	kind := "ABORT"
	if m.Commit {
		kind = "COMMIT"
	}
	d.printf(" endTxnMarker: %s coordinatorEpoch: %d", kind, m.CoordinatorEpoch)
}

// legacy prints one message of magic 0 or 1.
func (d *dumper) legacy(content []byte, position int) (rest []byte, err error) {
	m, rest, err := batch.NextLegacy(content)
	if err != nil {
		return content, err
	}
	d.printf("offset: %d position: %d %s: %d size: %d magic: %d compresscodec: %s crc: %d isvalid: %t\n", m.Offset(), position,
		timestampType(m.LogAppendTime()), m.Timestamp(), m.Size(), m.Magic(), m.Codec(), m.CRC(), m.Verify() == nil)
	if !d.deep && !d.payload {
		return rest, nil
	}
	return rest, batch.WalkLegacy(m, &d.scratch, func(r *batch.Record) error {
		d.printf("| offset: %d %s: %d keySize: %d valueSize: %d", r.Offset, timestampType(m.LogAppendTime()),
			r.Timestamp, size(r.Key, r.KeyNull), size(r.Value, r.ValueNull))
		if d.payload {
			d.keyAndPayload(r.Key, r.Value, r.KeyNull, r.ValueNull)
		}
		d.printf("\n")
		return nil
	})
}

// index prints an offset index: 8 bytes an entry.
func (d *dumper) index(content []byte, start int64) {
	for ; len(content) >= 8; content = content[8:] {
		d.printf("offset: %d position: %d\n", start+int64(int32(binary.BigEndian.Uint32(content))), int32(binary.BigEndian.Uint32(content[4:])))
	}
}

// timeIndex prints a time index: 12 bytes an entry.
func (d *dumper) timeIndex(content []byte, start int64) {
	for ; len(content) >= 12; content = content[12:] {
		d.printf("timestamp: %d offset: %d\n", int64(binary.BigEndian.Uint64(content)), start+int64(int32(binary.BigEndian.Uint32(content[8:]))))
	}
}

// txnIndex prints aborted transactions: 34 bytes an entry.
func (d *dumper) txnIndex(content []byte) {
	for ; len(content) >= 34; content = content[34:] {
		at := func(i int) int64 { return int64(binary.BigEndian.Uint64(content[i:])) }
		d.printf("version: %d producerId: %d firstOffset: %d lastOffset: %d lastStableOffset: %d\n",
			int16(binary.BigEndian.Uint16(content)), at(2), at(10), at(18), at(26))
	}
}

// snapshot prints a producer snapshot: a header of 10 bytes, 46 bytes an entry.
func (d *dumper) snapshot(name string, content []byte) error {
	if len(content) < 10 {
		return fmt.Errorf("%s: %w", name, errors.New("shorter than a snapshot's header"))
	}
	for content = content[10:]; len(content) >= 46; content = content[46:] {
		i64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(content[at:])) }
		i32 := func(at int) int32 { return int32(binary.BigEndian.Uint32(content[at:])) }
		first := "None"
		if txn := i64(38); txn >= 0 {
			first = fmt.Sprintf("Some(%d)", txn)
		}
		d.printf("producerId: %d producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: %s lastTimestamp: %d", i64(0),
			int16(binary.BigEndian.Uint16(content[8:])), i32(34), first, i64(26))
		if last := i64(14); last >= 0 {
			d.printf(" firstSequence: %d lastSequence: %d lastOffset: %d offsetDelta: %d timestamp: %d",
				batch.AddSequence(i32(10), -i32(22)), i32(10), last, i32(22), i64(26))
		}
		d.printf("\n")
	}
	return nil
}
