// SPDX-License-Identifier: Apache-2.0

package batch

import "fmt"

// Record is one record as Walk gives it. Its slices are views that must not be
// kept beyond the call.
type Record struct {
	Offset      int64  // absolute
	OffsetDelta int32  // within its batch
	Timestamp   int64  // ms; the batch's where the batch has log append time
	Key         []byte // nil when KeyNull
	Value       []byte // nil when ValueNull
	KeyNull     bool
	ValueNull   bool
	HeaderCount int32
	Headers     []byte // raw: HeaderCount of (varint length, key, varint length or -1, value)
	Size        int    // bytes the record takes, uncompressed, with its own length
}

// cursor steps through the records of a magic 2 batch. It lives on the stack
// of whoever uses it.
type cursor struct {
	rest       []byte
	baseOffset int64
	baseTime   int64
	appendTime int64 // NoTimestamp: records have their own
	stamped    bool  // appendTime holds
	index      int32
	count      int32
}

// start sets the cursor over records, the uncompressed ones of b.
func (c *cursor) start(b Batch, records []byte) {
	*c = cursor{rest: records, baseOffset: b.BaseOffset(), baseTime: b.BaseTimestamp(), count: b.Count()}
	if b.LogAppendTime() {
		c.stamped, c.appendTime = true, b.MaxTimestamp()
	}
}

// next reads one record; ok is false after the last one, when nothing may be
// left over.
func (c *cursor) next(r *Record) (ok bool, err error) {
	if c.index == c.count {
		if len(c.rest) > 0 {
			return false, fmt.Errorf("%w: %d bytes after the last of %d records", ErrInvalidRecord, len(c.rest), c.count)
		}
		return false, nil
	}
	length, n := varint(c.rest)
	if n == 0 && len(c.rest) >= varintMost {
		return false, fmt.Errorf("%w: record %d of %d: a length of more than %d bytes", ErrUnreadable, c.index, c.count, varintMost)
	}
	if n <= 0 || length < 0 || int(length) > len(c.rest)-n {
		return false, c.broken("length", int(length))
	}
	r.Size = n + int(length)
	body := c.rest[n:r.Size]
	c.rest = c.rest[r.Size:]
	if field := c.read(r, body); field != "" {
		return false, c.broken(field, int(length))
	}
	c.index++
	return true, nil
}

func (c *cursor) broken(field string, length int) error {
	return fmt.Errorf("%w: record %d of %d: %s does not fit (record length %d, %d bytes left)",
		ErrInvalidRecord, c.index, c.count, field, length, len(c.rest))
}

// read takes a record's body apart; it names the field that does not fit.
func (c *cursor) read(r *Record, body []byte) (field string) {
	if len(body) < 1 {
		return "attributes"
	}
	body = body[1:] // attributes: none are defined
	delta, n := varlong(body)
	if n <= 0 {
		return "timestamp delta"
	}
	body = body[n:]
	if r.Timestamp = c.baseTime + delta; c.stamped {
		r.Timestamp = c.appendTime
	}
	if r.OffsetDelta, n = varint(body); n <= 0 {
		return "offset delta"
	}
	r.Offset = c.baseOffset + int64(r.OffsetDelta)
	body = body[n:]
	var ok bool
	if r.Key, body, ok = nullable(body); !ok {
		return "key"
	}
	if r.Value, body, ok = nullable(body); !ok {
		return "value"
	}
	r.KeyNull, r.ValueNull = r.Key == nil, r.Value == nil
	if r.HeaderCount, n = varint(body); n <= 0 || r.HeaderCount < 0 || int(r.HeaderCount) > len(body)-n {
		return "header count"
	}
	r.Headers = body[n:]
	left := r.Headers
	for range r.HeaderCount {
		if _, _, left, ok = header(left); !ok {
			return "header"
		}
	}
	if len(left) > 0 {
		return "end"
	}
	return ""
}

// nullable takes a length and as many bytes; any negative length is null.
func nullable(b []byte) (value, rest []byte, ok bool) {
	length, n := varint(b)
	if n <= 0 {
		return nil, nil, false
	}
	b = b[n:]
	if length < 0 {
		return nil, b, true
	}
	if int(length) > len(b) {
		return nil, nil, false
	}
	return b[:length:length], b[length:], true
}

// header takes one header of a record; its key cannot be null.
func header(b []byte) (key, value, rest []byte, ok bool) {
	key, rest, ok = nullable(b)
	if !ok || key == nil {
		return nil, nil, nil, false
	}
	value, rest, ok = nullable(rest)
	return key, value, rest, ok
}

// EachHeader gives every header of the record to fn; a nil value is null.
func (r *Record) EachHeader(fn func(key, value []byte)) {
	left := r.Headers
	for range r.HeaderCount {
		key, value, rest, ok := header(left)
		if !ok {
			return // Walk has checked them; this Record did not come from there
		}
		fn(key, value)
		left = rest
	}
}
