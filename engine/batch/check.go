// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Origin says who made a batch.
type Origin uint8

// Who may append. Clients may not write control batches; replicas and
// coordinators are trusted to have made theirs well.
const (
	Client Origin = iota
	Replica
	Coordinator
)

// TimestampType is message.timestamp.type of a topic.
type TimestampType uint8

// The two timestamp types.
const (
	CreateTime TimestampType = iota
	LogAppendTime
)

// Rules are what a topic asks of a batch.
type Rules struct {
	TargetCodec   Codec // CodecProducer keeps what the producer chose
	Level         int   // of TargetCodec; LevelDefault for the codec's own
	TimestampType TimestampType
	BeforeMaxMs   int64 // message.timestamp.before.max.ms
	AfterMaxMs    int64 // message.timestamp.after.max.ms
	Now           int64 // ms since 1970
	Compact       bool  // cleanup.policy contains compact: every record needs a key
	MaxSize       int   // what the records may decompress to, bytes; 0: DefaultMaxSize
	MaxHeld       int   // what may be held of that at once where the whole is needed, bytes; 0: MaxSize
	Origin        Origin
}

// Info is what Check learnt.
type Info struct {
	MaxTimestamp int64 // ms, NoTimestamp where no record has one
	OffsetOfMax  int32 // offset delta of the first record that has MaxTimestamp
	Count        int32 // records
	PlainSize    int   // of the records, uncompressed, bytes
	Rewritten    bool  // the batch returned stands in memory of the Scratch
}

// RecordsError says which records of a batch were refused. It wraps
// ErrInvalidTimestamp when any timestamp was, else ErrInvalidRecord.
type RecordsError struct {
	Records []RecordError // the first ones
	Total   int           // of refused records
	err     error
}

// RecordError is one refused record.
type RecordError struct {
	Index  int32 // in its batch, from 0
	Reason string
}

// maxRecordErrors bounds the list of a RecordsError, and with it the answer.
const maxRecordErrors = 100

// Error names the first refused record.
func (e *RecordsError) Error() string {
	return fmt.Sprintf("%v: %d records, the first is %d: %s", e.err, e.Total, e.Records[0].Index, e.Records[0].Reason)
}

// Unwrap is the sentinel.
func (e *RecordsError) Unwrap() error { return e.err }

// add notes one more refused record.
func (e *RecordsError) add(err error, index int32, reason string) *RecordsError {
	if e == nil {
		e = &RecordsError{err: err}
	}
	if err == ErrInvalidTimestamp {
		e.err = err
	}
	if e.Total++; len(e.Records) < maxRecordErrors {
		e.Records = append(e.Records, RecordError{Index: index, Reason: reason})
	}
	return e
}

// Check judges one whole batch (see Next) as the LogValidator of Kafka 3.9
// would, the checksum included. The batch it returns is what belongs into the
// log: b, its largest timestamp corrected or stamped in place, or a rewritten
// one in memory of scratch (another codec, or offset deltas made dense, which
// Kafka does too). It does not judge the batch's own size, of which only the
// caller knows the limit; a rewritten one may be larger than b. An uncompressed
// batch that stays one costs no allocation. scratch may be nil.
//
// Bytes that break their own format or checksum are ErrCorrupt, or
// ErrInvalidRecord where the checksum shows that they were made so; rules of
// the topic are ErrInvalidRecord and ErrInvalidTimestamp, as *RecordsError
// where single records break them. Also ErrUnsupportedMagic, ErrUnreadable,
// ErrTooLarge.
func Check(b Batch, rules Rules, scratch *Scratch) (Batch, Info, error) {
	if scratch == nil {
		scratch = new(Scratch)
	}
	if err := checkHeader(b, rules.Origin); err != nil {
		return nil, Info{}, err
	}
	target := rules.TargetCodec
	if target == CodecProducer || b.IsControl() && b.Codec() == CodecNone {
		target = b.Codec()
	}
	defer scratch.unlend()
	records, info, dense, err := scratch.judge(b, &rules, target)
	if err != nil {
		return nil, Info{}, err
	}
	info.Rewritten = !dense || target != b.Codec()
	switch {
	case !dense, info.Rewritten && b.LogAppendTime(): // the append time becomes the records' own
		b, err = scratch.rebuild(b, records, target, rules.Level)
	case info.Rewritten:
		b, err = scratch.recompress(b, records, target, rules.Level)
	}
	if err != nil {
		return nil, Info{}, err
	}
	return stamp(b, rules, info)
}

// checkHeader is what can be judged without the records.
func checkHeader(b Batch, origin Origin) error {
	if err := wellFormed(b); err != nil {
		return err
	}
	if origin == Client && b.BaseOffset() != 0 {
		return fmt.Errorf("%w: base offset %d, clients must send 0", ErrInvalidRecord, b.BaseOffset())
	}
	if err := b.Verify(); err != nil {
		return err
	}
	if !b.Codec().valid() {
		return fmt.Errorf("%w: %s", ErrUnreadable, b.Codec())
	}
	if origin != Client {
		return nil
	}
	count, span := int64(b.Count()), int64(b.LastOffsetDelta())+1
	switch {
	case span <= 0:
		return fmt.Errorf("%w: last offset delta %d", ErrInvalidRecord, b.LastOffsetDelta())
	case count <= 0:
		return fmt.Errorf("%w: count %d", ErrInvalidRecord, count)
	case count != span:
		return fmt.Errorf("%w: count %d, but offsets 0 to %d", ErrInvalidRecord, count, span-1)
	case b.IsControl():
		return fmt.Errorf("%w: clients may not write control records", ErrInvalidRecord)
	case b.ProducerID() > NoProducerID && b.BaseSequence() < 0:
		return fmt.Errorf("%w: producer %d with sequence %d", ErrInvalidRecord, b.ProducerID(), b.BaseSequence())
	}
	return nil
}

// judge walks the records once. dense is false when their offset deltas are not
// 0, 1, 2 and so on. Where the batch will be rewritten, records are the whole of
// them, uncompressed.
func (s *Scratch) judge(b Batch, rules *Rules, target Codec) (records []byte, info Info, dense bool, err error) {
	if b.Codec() == CodecNone {
		info, dense, err = checkRecords(b, b.Records(), rules)
		return b.Records(), info, dense, err
	}
	rewrite := target != b.Codec()
	limit := rules.MaxSize
	if limit <= 0 {
		limit = DefaultMaxSize
	}
	held := limit
	if rules.MaxHeld > 0 {
		held = min(limit, rules.MaxHeld)
	}
	if whole := min(held, wholeSize(b, rewrite)); whole > 0 {
		records, err = s.openInto(s.lend(roomFor(b, whole)), b, whole)
		if err == nil {
			info, dense, err = checkRecords(b, records, rules)
			return records, info, dense, err
		}
		if !errors.Is(err, ErrTooLarge) || whole == limit {
			return nil, Info{}, false, err
		}
	}
	info, dense, err = s.checkStream(b, limit, held, rules)
	switch {
	case errors.Is(err, errWindow):
		if records, err = s.openInto(s.lend(held+slack), b, held); err == nil {
			info, dense, err = checkRecords(b, records, rules)
		}
	case err == nil && rewrite && info.PlainSize > held:
		err = tooLarge(b.Codec(), held)
	case err == nil && rewrite: // the second time into memory of its size
		records, err = s.openInto(s.lend(info.PlainSize+slack), b, info.PlainSize)
	}
	return records, info, dense, err
}

// wholeRewritten is wholeSize of what is compressed anew, at most, and usualGain
// how much more than its compressed bytes.
const (
	wholeRewritten = 4 << 20
	usualGain      = 8
)

// roomFor is the memory to decompress b into, to n bytes at most.
func roomFor(b Batch, n int) int {
	block := 0
	if b.Codec() == CodecLZ4 {
		block = lz4Room(b.Records())
	}
	if n+block <= keepBytes || n == keepBytes && block <= keepBytes {
		return n // it grows on the heap to what is needed
	}
	return n + slack
}

// wholeSize is what a batch is decompressed to at once, in bytes; one that
// becomes more is streamed. Small ones are cheaper so; of others, the whole is
// of use only where it is compressed anew.
func wholeSize(b Batch, rewrite bool) int {
	switch {
	case rewrite:
		return min(wholeRewritten, max(keepBytes, usualGain*len(b)))
	case len(b) <= keepBytes/4:
		return keepBytes
	}
	return 0
}

// checkRecords walks the records of b, all of them uncompressed.
func checkRecords(b Batch, records []byte, rules *Rules) (info Info, dense bool, err error) {
	var c cursor
	c.start(b, records)
	info, dense, err = walkRecords(b, &c, nil, rules)
	info.PlainSize = len(records)
	return info, dense, err
}

// walkRecords judges the records that c has or, where w is not nil, gets from it.
func walkRecords(b Batch, c *cursor, w *stream, rules *Rules) (info Info, dense bool, err error) {
	info = Info{MaxTimestamp: NoTimestamp, Count: b.Count()}
	dense = true
	var refused *RecordsError
	var r Record
	for i := int32(0); ; i++ {
		var ok bool
		if w == nil || w.whole() {
			ok, err = c.next(&r)
		} else {
			ok, err = w.passNext(&r)
		}
		if err != nil {
			return info, dense, err
		}
		if !ok {
			break
		}
		if r.OffsetDelta != i {
			dense = dense && rules.Origin != Client
		}
		if r.Timestamp > info.MaxTimestamp {
			info.MaxTimestamp, info.OffsetOfMax = r.Timestamp, i
		}
		if rules.Compact && r.KeyNull {
			refused = refused.add(ErrInvalidRecord, i, "a compacted topic needs a key in every record")
		} else if reason := rules.judgeTime(r.Timestamp, c.stamped); reason != "" {
			refused = refused.add(ErrInvalidTimestamp, i, reason)
		}
	}
	switch {
	case refused != nil:
		return info, dense, refused
	case !dense && b.Codec() != CodecNone: // Kafka fails when it writes them anew
		return info, dense, fmt.Errorf("%w: compressed records whose offsets do not count up by one", ErrUnreadable)
	}
	return info, dense, nil
}

// judgeTime says what is wrong with a record's timestamp. The differences wrap
// around as Java's do, so that absurd timestamps get Kafka's answer.
func (r *Rules) judgeTime(ms int64, stamped bool) (reason string) {
	if r.TimestampType == CreateTime && ms != NoTimestamp {
		if age := r.Now - ms; age > r.BeforeMaxMs || -age > r.AfterMaxMs {
			return fmt.Sprintf("timestamp %d is outside of [%d, %d]", ms, r.Now-r.BeforeMaxMs, r.Now+r.AfterMaxMs)
		}
		return ""
	}
	if stamped {
		return "a producer may not set the timestamp type to LogAppendTime"
	}
	return ""
}

// stamp writes the largest timestamp and its type, where they differ.
func stamp(b Batch, rules Rules, info Info) (Batch, Info, error) {
	appendTime := rules.TimestampType == LogAppendTime
	if appendTime {
		info.MaxTimestamp, info.OffsetOfMax = rules.Now, 0
	}
	if b.LogAppendTime() != appendTime || b.MaxTimestamp() != info.MaxTimestamp {
		b.SetMaxTimestampAndType(info.MaxTimestamp, appendTime)
	}
	return b, info, nil
}

// recompress keeps the header and the records and changes the codec.
func (s *Scratch) recompress(b Batch, records []byte, target Codec, level int) (Batch, error) {
	out, err := target.Compress(append(s.out[:0], b[:HeaderSize]...), records, level, s)
	if err != nil {
		return nil, err
	}
	s.out = out
	if len(out) > maxLength {
		return nil, fmt.Errorf("%w: batch of %d bytes", ErrTooLarge, len(out))
	}
	n := Batch(out)
	binary.BigEndian.PutUint32(n[atLength:], uint32(len(out)-HeadSize))
	binary.BigEndian.PutUint16(n[atAttributes:], uint16(b.Attributes()&^codecMask|int16(target)))
	n.seal()
	return n, nil
}

// rebuild writes every record anew at the offset it should have had.
func (s *Scratch) rebuild(b Batch, records []byte, target Codec, level int) (Batch, error) {
	if s.builder == nil {
		s.builder = new(Builder)
	}
	s.builder.Reset(Header{BaseOffset: b.BaseOffset(), LeaderEpoch: b.LeaderEpoch(), Codec: target, Level: level,
		ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), BaseSequence: b.BaseSequence(),
		Transactional: b.IsTransactional(), Control: b.IsControl(), AppendTime: NoTimestamp})
	var c cursor
	c.start(b, records)
	for {
		ok, err := c.next(&s.rec)
		if err != nil {
			return nil, err
		}
		if !ok {
			return s.builder.Finish()
		}
		s.builder.copyRecord(&s.rec)
	}
}
