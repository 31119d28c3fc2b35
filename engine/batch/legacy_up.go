// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Set is what a client of Produce v0 to v2 sent for one partition: messages of
// magic 0 or 1, or, as Kafka lets them, batches of magic 2.
type Set struct {
	Bytes []byte // the whole messages; what was cut short behind them is not there
	Count int    // of messages or batches, compressed ones counted as one
	Magic int8   // of the first; the others may differ
	Codec Codec  // of the last that is compressed
}

// Survey reads the messages that b begins with and checks lengths, checksums
// and that none is larger than maxBytes, in Kafka's order. A message cut short
// ends the set and is no error, and a set may be empty.
//
// ErrCorrupt, ErrTooLarge, ErrInvalidRecord for a batch that does not begin at
// offset 0, ErrUnreadable for an unknown codec of magic 0 or 1.
func Survey(b []byte, maxBytes int) (Set, error) {
	var set Set
	for at := 0; ; {
		size, err := PeekOld(b[at:])
		if err != nil {
			return Set{}, err
		}
		if size == 0 {
			set.Bytes = b[:at:at]
			return set, nil
		}
		one := b[at : at+size : at+size]
		magic := int8(one[atMagic])
		codec, err := surveyOne(one, magic, maxBytes)
		if err != nil {
			return Set{}, err
		}
		if set.Count++; set.Count == 1 {
			set.Magic = magic
		}
		if codec != CodecNone {
			set.Codec = codec
		}
		at += size
	}
}

// surveyOne checks one message or batch and tells its codec.
func surveyOne(one []byte, magic int8, maxBytes int) (Codec, error) {
	if magic == 2 && len(one) < HeaderSize {
		return CodecNone, fmt.Errorf("%w: batch of %d bytes", ErrCorrupt, len(one))
	}
	if magic == 2 && Batch(one).BaseOffset() != 0 {
		return CodecNone, fmt.Errorf("%w: base offset %d, clients must send 0", ErrInvalidRecord, Batch(one).BaseOffset())
	}
	if len(one) > maxBytes {
		return CodecNone, fmt.Errorf("%w: %d > %d bytes", ErrTooLarge, len(one), maxBytes)
	}
	if magic == 2 {
		return Batch(one).Codec(), Batch(one).Verify()
	}
	m := Legacy(one)
	if err := m.Verify(); err != nil {
		return CodecNone, err
	}
	if !m.Codec().valid() {
		return CodecNone, fmt.Errorf("%w: %s", ErrUnreadable, m.Codec())
	}
	return m.Codec(), nil
}

// PeekOld tells the size of the message or batch of any magic that b begins
// with, 0 when it is not all there. ErrCorrupt for a length below magic 0's and
// for a magic that never was; unlike Peek it leaves the rest for later, as Kafka
// does with what old clients send.
func PeekOld(b []byte) (int, error) {
	size := wholeLegacy(b)
	if size < 0 || len(b) >= PeekSize && b[atMagic] > 2 {
		return 0, fmt.Errorf("%w: a message of length %d", ErrCorrupt, int32(binary.BigEndian.Uint32(b[atLength:])))
	}
	return size, nil
}

// Up converts a set of messages of magic 0 and 1 that Survey passed to one
// batch of magic 2, judging it as the LogValidator of Kafka 3.9 would. The
// batch stands in memory of scratch. The caller knows the limit of its size.
//
// ErrCorrupt for a message inside whose checksum is wrong, *RecordsError for
// records without a key or with a bad timestamp, ErrInvalidRecord for mixed
// magics, nested wrappers and compressed messages beside others, ErrUnreadable,
// ErrTooLarge above rules.MaxSize. scratch may be nil.
func Up(set Set, rules Rules, scratch *Scratch) (Batch, Info, error) {
	if scratch == nil {
		scratch = new(Scratch)
	}
	if set.Codec != CodecNone && set.Count > 1 {
		return nil, Info{}, fmt.Errorf("%w: a compressed message must be the only one, there are %d", ErrInvalidRecord, set.Count)
	}
	target := rules.TargetCodec
	if target == CodecProducer {
		target = set.Codec
	}
	appendTime := NoTimestamp
	if rules.TimestampType == LogAppendTime {
		appendTime = rules.Now
	}
	if scratch.builder == nil {
		scratch.builder = new(Builder)
	}
	limit := scratch.MaxSize
	scratch.MaxSize = rules.MaxSize
	defer func() { scratch.MaxSize = limit }()
	h := PlainHeader()
	h.Codec, h.Level, h.AppendTime = target, rules.Level, appendTime
	u := up{magic: set.Magic, rules: &rules, to: scratch.builder, info: Info{MaxTimestamp: NoTimestamp, Rewritten: true}, direct: set.Codec == CodecNone && target == CodecNone}
	u.to.Reset(h)
	if err := u.all(set, scratch); err != nil {
		return nil, Info{}, err
	}
	u.info.Count, u.info.PlainSize = int32(u.to.Count()), u.to.Size()-HeaderSize
	if appendTime != NoTimestamp {
		u.info.MaxTimestamp, u.info.OffsetOfMax = appendTime, 0
	}
	b, err := u.to.Finish()
	return b, u.info, err
}

// up is one conversion under way.
type up struct {
	magic  int8
	rules  *Rules
	to     *Builder
	info   Info
	late   error // found where Kafka looks only once everything was judged
	direct bool  // Kafka looks at once: nothing is compressed, before or after
}

// all takes the messages one after the other.
func (u *up) all(set Set, scratch *Scratch) error {
	if set.Codec != CodecNone {
		if err := u.wrapper(Legacy(set.Bytes), scratch); err != nil {
			return err
		}
		return u.late
	}
	if u.direct {
		if err := readable(set.Bytes); err != nil {
			return err
		}
	}
	for rest := set.Bytes; len(rest) > 0; {
		size, err := PeekOld(rest)
		if err != nil || size == 0 {
			return fmt.Errorf("%w: not a surveyed set", ErrCorrupt)
		}
		m := Legacy(rest[:size:size])
		rest = rest[size:]
		if m.Magic() != u.magic {
			return fmt.Errorf("%w: a message of magic %d behind one of %d", ErrInvalidRecord, m.Magic(), u.magic)
		}
		refused, err := u.take(m, m.Timestamp(), m.LogAppendTime(), 0, nil)
		if err != nil {
			return err
		}
		if refused != nil {
			return refused
		}
	}
	return u.late
}

// readable looks whether the fields of uncompressed messages can be read.
func readable(set []byte) error {
	for len(set) > 0 {
		size, err := PeekOld(set)
		if err != nil || size == 0 {
			return err
		}
		if set[atMagic] < 2 {
			if _, _, err := Legacy(set[:size]).fields(); err != nil {
				return err
			}
		}
		set = set[size:]
	}
	return nil
}

// wrapper takes the messages of a compressed one.
func (u *up) wrapper(m Legacy, scratch *Scratch) error {
	w, err := scratch.openWrapper(m)
	if err != nil {
		return err
	}
	var refused *RecordsError
	for i := int32(0); ; i++ {
		inner, ok := w.next()
		if !ok {
			break
		}
		if inner.Codec() != CodecNone {
			if !inner.Codec().valid() {
				return fmt.Errorf("%w: %s inside a compressed message", ErrUnreadable, inner.Codec())
			}
			return fmt.Errorf("%w: a compressed message inside a compressed one", ErrInvalidRecord)
		}
		if inner.Magic() != u.magic {
			refused = refused.add(ErrInvalidRecord, i, fmt.Sprintf("magic %d inside of magic %d", inner.Magic(), u.magic))
			continue
		}
		if err := inner.Verify(); err != nil {
			return err
		}
		if refused, err = u.take(inner, w.timestamp(inner), m.LogAppendTime(), i, refused); err != nil {
			return err
		}
	}
	if refused != nil {
		return refused
	}
	return nil
}

// take judges one message and appends it.
func (u *up) take(m Legacy, ms int64, stamped bool, index int32, refused *RecordsError) (*RecordsError, error) {
	has, ok := m.hasKey()
	if !ok {
		return refused, fmt.Errorf("%w: it ends before its key", ErrUnreadable)
	}
	if u.rules.Compact && !has {
		return refused.add(ErrInvalidRecord, index, "a compacted topic needs a key in every record"), nil
	}
	if reason := u.rules.judgeTime(ms, stamped); reason != "" {
		return refused.add(ErrInvalidTimestamp, index, reason), nil
	}
	if refused != nil {
		return refused, nil
	}
	key, value, err := m.fields()
	if err == nil && ms < 0 && ms != NoTimestamp {
		err = fmt.Errorf("%w: timestamp %d", ErrUnreadable, ms)
	}
	if err != nil {
		if u.direct {
			return nil, err
		}
		u.late = errors.Join(u.late, err)
		return nil, nil
	}
	if n := int32(u.to.Count()); ms > u.info.MaxTimestamp {
		u.info.MaxTimestamp, u.info.OffsetOfMax = ms, n
	}
	u.to.Append(ms, key, value)
	return nil, nil
}
