// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Fetch v0 to v3 give records of magic 0 (v0, v1) or 1 (v2, v3). As in Kafka an
// answer's size is settled once the first batch of each partition is converted:
// it is what the log's bytes take, or that batch alone where it is more. The
// rest is converted while the answer is sent, a piece at a time, and what the
// conversion leaves of the size is filled with a message that consumers take
// for one cut short. So a reader that does not read holds little memory, and
// conversions share a gate.

// errDownDisabled answers where message.downconversion.enable is false.
var errDownDisabled = Fail(frame.UnsupportedVersion, "api: message.downconversion.enable is false, and Fetch below v4 needs it")

// downGroup is how many bytes of the log are converted together; Kafka does so
// too, and a zstd batch makes it leave out the whole group it stands in.
const downGroup = 128 << 10

// keptBytes bounds what all answers under way keep of converted bytes that did
// not fit into a piece. Beyond it they are converted again when their turn comes.
const keptBytes = 16 << 20

// downs is what the conversions of a broker share.
type downs struct {
	gate    gate
	convert int // what a batch may decompress to
	kept    atomic.Int64
	most    int64 // of kept
	scratch scratches
	buffers sync.Pool // *[]byte
}

// oldMagic is the newest format that a version of Fetch knows.
func oldMagic(version int16) int8 {
	switch {
	case version <= 1:
		return 0
	case version <= 3:
		return 1
	}
	return 2
}

// lowerAll settles, on the pool, what an old client gets of every partition.
func (s *fetchCall) lowerAll() {
	magic := oldMagic(s.c.Version)
	for i := range s.read.Parts {
		p := &s.read.Parts[i]
		if p.Partition == nil {
			continue
		}
		err := error(nil)
		if s.f.config(p.Partition).NoDownConversion {
			err = errDownDisabled
		} else if p.Bytes > 0 {
			err = s.down[i].begin(&s.f.downs, p.Spans, magic, int64(p.Offset))
		}
		if err != nil {
			for k := range p.Spans {
				p.Spans[k].Release()
			}
			s.refuse(i, err)
		}
	}
	s.c.Home().Post(&s.lowered)
}

// addDown puts the bytes that were settled behind a partition's head.
func addDown(c *Call, d *downPart) {
	if d.size > 0 {
		c.AddFiller(d)
	} else {
		d.Release()
	}
}

// downPart converts one partition's spans while they are sent. It is a Filler.
type downPart struct {
	shared *downs
	spans  []engine.Span
	magic  int8
	from   int64 // records below are left out where each is a message
	size   int   // bytes promised
	done   int   // of them made

	span  int   // the next group begins in this span,
	pos   int64 // as far into it
	skip  int   // bytes of the group's conversion that are out already
	one   bool  // the next group is the one batch that size was settled with
	ready []byte
	ended bool // nothing more can be converted
	fill  int  // bytes of filling made
}

// begin settles the size with the first batch that leaves anything.
func (d *downPart) begin(shared *downs, spans []engine.Span, magic int8, from int64) error {
	*d = downPart{shared: shared, spans: spans, magic: magic, from: from}
	total := 0
	for i := range spans {
		total += spans[i].Len()
	}
	buf := d.buffer()
	defer func() { d.free(buf) }()
	for any := false; ; any = true {
		span, pos := d.span, d.pos
		d.one = true
		out, err := d.convert((*buf)[:0])
		*buf = out
		if err == io.EOF {
			d.one, d.ended = false, true
			if d.size = 0; any {
				d.size = batch.OverflowMin
			}
			return nil
		}
		if err != nil {
			return err
		}
		if len(out) > 0 {
			d.size = max(total, len(out))
			d.keep(out, 0, span, pos, true)
			return nil
		}
	}
}

// keep puts converted bytes away for the next piece, or notes where to begin
// again when too much is kept already.
func (d *downPart) keep(out []byte, skip, span int, pos int64, one bool) {
	if n := int64(len(out) - skip); d.shared.kept.Add(n) > d.shared.most {
		d.shared.kept.Add(-n)
		d.span, d.pos, d.skip, d.one = span, pos, skip, one
		return
	}
	d.ready = append([]byte(nil), out[skip:]...)
	d.one = false
}

// Fill implements Filler.
func (d *downPart) Fill(p []byte) error {
	for len(p) > 0 {
		switch {
		case len(d.ready) > 0:
			n := copy(p, d.ready)
			d.ready = d.ready[n:]
			d.shared.kept.Add(-int64(n))
			if p, d.done = p[n:], d.done+n; len(d.ready) == 0 {
				d.ready = nil
			}
		case d.ended:
			batch.Overflow(p, d.fill, d.size-d.done)
			d.fill, d.done = d.fill+len(p), d.done+len(p)
			return nil
		default:
			n, err := d.piece(p)
			if err != nil {
				return err
			}
			p, d.done = p[n:], d.done+n
		}
	}
	return nil
}

// piece converts the next group and copies what p has room for.
func (d *downPart) piece(p []byte) (n int, err error) {
	buf := d.buffer()
	defer func() { d.free(buf) }()
	span, pos, one := d.span, d.pos, d.one
	out, err := d.convert((*buf)[:0])
	*buf = out
	switch {
	case err == io.EOF, errors.Is(err, batch.ErrUnsupportedCodec):
		d.ended = true // Kafka fills up: the next fetch meets the error at its own offset
		return 0, nil
	case err != nil:
		return 0, err
	}
	skip := min(d.skip, len(out))
	d.skip = 0
	n = copy(p, out[skip:])
	if skip += n; skip < len(out) && d.done+n < d.size {
		d.keep(out, skip, span, pos, one)
	} else {
		d.one = false
	}
	return n, nil
}

// convert appends the conversion of the next group to out and moves on behind
// it; io.EOF when there is none. Within, it holds memory of the gate.
func (d *downPart) convert(out []byte) ([]byte, error) {
	read := d.buffer()
	defer func() { d.free(read) }()
	group, compressed, err := d.readGroup(read)
	if err != nil {
		return out, err
	}
	for wide := false; ; wide = true {
		limit, reserve := plan(len(group), compressed, wide, d.shared.convert)
		d.shared.gate.wait(reserve)
		made, err := d.lower(out, group, limit)
		d.shared.gate.give(reserve)
		if !errors.Is(err, batch.ErrTooLarge) || wide {
			return made, err
		}
	}
}

// lower converts whole batches that may decompress to limit bytes each.
func (d *downPart) lower(out, group []byte, limit int) ([]byte, error) {
	scratch := d.shared.scratch.get()
	scratch.MaxSize = limit
	defer func() { scratch.MaxSize = 0; d.shared.scratch.put(scratch) }()
	for len(group) > 0 {
		size, _, err := batch.Peek(group)
		if err != nil || size > len(group) {
			return out, fmt.Errorf("%w: %w", batch.ErrCorrupt, err)
		}
		if out, err = batch.Down(out, group[:size], d.magic, d.from, scratch); err != nil {
			return out, err
		}
		group = group[size:]
	}
	return out, nil
}

// readGroup reads the next whole batches: one, or what downGroup holds.
func (d *downPart) readGroup(buf *[]byte) (group []byte, compressed bool, err error) {
	group = (*buf)[:0]
	defer func() { *buf = group }()
	for {
		size, packed, err := d.peek()
		if err == io.EOF && len(group) > 0 || err == nil && len(group) > 0 && (d.one || len(group)+size > downGroup) {
			return group, compressed, nil
		}
		if err != nil {
			return group, false, err
		}
		at := len(group)
		if cap(group)-at < size {
			group = append(make([]byte, 0, max(2*cap(group), at+size)), group...)
		}
		group = group[:at+size]
		s := &d.spans[d.span]
		if _, err := s.File().ReadAt(group[at:], s.Off()+d.pos); err != nil {
			return group[:at], false, fmt.Errorf("api: read for a conversion: %w", err)
		}
		compressed = compressed || packed
		d.pos += int64(size)
	}
}

// peek tells the size of the next batch; io.EOF when no whole one is left.
func (d *downPart) peek() (size int, compressed bool, err error) {
	for ; d.span < len(d.spans); d.span, d.pos = d.span+1, 0 {
		s := &d.spans[d.span]
		left := int64(s.Len()) - d.pos
		if left <= batch.PeekSize { // as Kafka, which asks for a byte more than it reads
			continue
		}
		var head [batch.HeaderSize]byte
		h := head[:min(left, batch.HeaderSize)]
		if _, err := s.File().ReadAt(h, s.Off()+d.pos); err != nil {
			return 0, false, fmt.Errorf("api: read for a conversion: %w", err)
		}
		if size, _, err = batch.Peek(h); err != nil {
			return 0, false, err
		}
		if int64(size) <= left {
			return size, compressedOld(h), nil
		}
	}
	return 0, false, io.EOF
}

// buffer lends memory that free takes back.
func (d *downPart) buffer() *[]byte {
	if b, ok := d.shared.buffers.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

func (d *downPart) free(b *[]byte) {
	if cap(*b) <= 1<<20 {
		d.shared.buffers.Put(b)
	}
}

// File implements Span; a Filler is not asked.
func (d *downPart) File() vfs.File { return nil }

// Off is 0.
func (d *downPart) Off() int64 { return 0 }

// Len implements Span.
func (d *downPart) Len() int { return d.size }

// Release implements Span.
func (d *downPart) Release() {
	for i := range d.spans {
		d.spans[i].Release()
	}
	d.shared.kept.Add(-int64(len(d.ready)))
	d.spans, d.ready = nil, nil
}
