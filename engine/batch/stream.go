// SPDX-License-Identifier: Apache-2.0

package batch

import "io"

// Large compressed batches are checked as a stream: their records pass through
// a window, and of one that is larger than that the key, the value and the
// headers are passed over. So what a batch decompresses to takes no memory
// beside the window and what its codec looks back at.

// windowSize is the window's in bytes.
const windowSize = 64 << 10

// stream keeps a cursor in records. It belongs to a Scratch.
type stream struct {
	cursor // its rest is what was read and not taken, the end of the window's first n bytes
	from   source
	buf    []byte // the window
	n      int
	size   int   // bytes read in all
	limit  int   // of them
	err    error // why there is no more to read; io.EOF at the end
}

// checkStream walks the records of b, which may decompress to limit bytes. Held
// is the most that a single block may become. errWindow where the codec looks
// back too far.
func (s *Scratch) checkStream(b Batch, limit, held int, rules *Rules) (info Info, dense bool, err error) {
	if s.window == nil {
		s.window = make([]byte, windowSize)
	}
	w := &s.flow
	*w = stream{buf: s.window, limit: limit}
	w.start(b, nil)
	defer s.src.Reset(nil)
	if err := w.from.begin(s, b, held); err != nil {
		return Info{}, false, unreadable(err)
	}
	info, dense, err = walkRecords(b, &w.cursor, w, rules)
	info.PlainSize = w.size
	w.from = source{}
	return info, dense, err
}

// fill reads until n bytes, at most the window's size, can be taken.
func (w *stream) fill(n int) bool {
	for len(w.rest) < n && w.err == nil {
		if at := w.n - len(w.rest); at > 0 && at+n > len(w.buf) {
			w.n = copy(w.buf, w.rest)
		}
		at := w.n - len(w.rest)
		var got int
		got, w.err = w.from.read(w.buf[w.n:])
		w.n += got
		w.rest = w.buf[at:w.n]
		if w.size += got; w.size > w.limit {
			w.err = tooLarge(w.from.codec, w.limit)
		}
	}
	return len(w.rest) >= n
}

// failed tells whether reading ended before the end.
func (w *stream) failed() bool { return w.err != nil && w.err != io.EOF }

// whole reads until the cursor has all of the next record, or all there will
// ever be, so that it can judge. Else passNext does.
func (w *stream) whole() bool {
	if w.index == w.count {
		return w.fill(1) || !w.failed()
	}
	length, n := varint(w.rest)
	if n > 0 && length >= 0 && int(length) <= len(w.rest)-n {
		return true
	}
	w.fill(varintMost)
	if length, n = varint(w.rest); n <= 0 || length < 0 {
		return len(w.rest) >= varintMost || !w.failed()
	}
	if int(length) > len(w.buf)-n {
		return false
	}
	return w.fill(n+int(length)) || !w.failed()
}

// passNext is cursor.next for a record larger than the window, of which r gets
// no key, value and headers, only whether they are null; and for what ends in a
// failure to read.
func (w *stream) passNext(r *Record) (ok bool, err error) {
	length, n := varint(w.rest)
	if w.index < w.count && n > 0 && int(length) > len(w.buf)-n {
		w.rest = w.rest[n:]
		field := (&passing{w, int(length)}).record(r)
		if field == "" {
			w.index++
			return true, nil
		}
		if !w.failed() {
			return false, w.broken(field, int(length))
		}
	}
	return false, unreadable(w.err)
}

// passing takes a record apart that is not all in the window.
type passing struct {
	*stream
	left int // bytes of the record
}

// record is cursor.read, with nothing kept.
func (p *passing) record(r *Record) (field string) {
	if !p.pass(1) {
		return "attributes"
	}
	delta, ok := p.varlong()
	if !ok {
		return "timestamp delta"
	}
	if r.Timestamp = p.baseTime + delta; p.stamped {
		r.Timestamp = p.appendTime
	}
	if r.OffsetDelta, ok = p.varint(); !ok {
		return "offset delta"
	}
	r.Offset = p.baseOffset + int64(r.OffsetDelta)
	r.Key, r.Value, r.Headers = nil, nil, nil
	if r.KeyNull, ok = p.nullable(); !ok {
		return "key"
	}
	if r.ValueNull, ok = p.nullable(); !ok {
		return "value"
	}
	if r.HeaderCount, ok = p.varint(); !ok || r.HeaderCount < 0 || int(r.HeaderCount) > p.left {
		return "header count"
	}
	for range r.HeaderCount {
		if null, ok := p.nullable(); !ok || null {
			return "header"
		}
		if _, ok := p.nullable(); !ok {
			return "header"
		}
	}
	if p.left > 0 {
		return "end"
	}
	return ""
}

// pass goes on by n bytes of the record.
func (p *passing) pass(n int) bool {
	if n > p.left {
		return false
	}
	p.left -= n
	for n > 0 {
		if !p.fill(1) {
			return false
		}
		step := min(n, len(p.rest))
		p.rest = p.rest[step:]
		n -= step
	}
	return true
}

// ahead is what a number is read from.
func (p *passing) ahead(most int) []byte {
	most = min(most, p.left)
	p.fill(most)
	return p.rest[:min(most, len(p.rest))]
}

func (p *passing) varint() (int32, bool) {
	v, n := varint(p.ahead(varintMost))
	return v, n > 0 && p.pass(n)
}

func (p *passing) varlong() (int64, bool) {
	v, n := varlong(p.ahead(2 * varintMost))
	return v, n > 0 && p.pass(n)
}

// nullable passes over a length and as many bytes.
func (p *passing) nullable() (null, ok bool) {
	length, ok := p.varint()
	if !ok || length < 0 {
		return true, ok
	}
	return false, p.pass(int(length))
}
