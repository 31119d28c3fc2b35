// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package null is the least broker there can be: what any correct one must do
// for a Produce (receive, check the CRC, write to a file, answer) and a Fetch
// (find the place, send it from the file), and nothing else. It is the limit
// line of a benchmark: no broker that makes the same system calls does better.
//
// It keeps the topic it heard of last, a file per partition that is never
// synced, batches of one shape each; a new topic's name ends the one before. It
// has no replicas, no groups, no recovery, and nothing of it is fit for use.
package null

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samsa-broker/samsa/wire/frame"
)

// Broker is the null broker.
type Broker struct {
	dir string

	mu    sync.RWMutex
	topic string
	parts map[string]*part // by topic-partition
}

// New keeps its files in dir.
func New(dir string) *Broker { return &Broker{dir: dir, parts: map[string]*part{}} }

// part is one partition. All its batches are of one size.
type part struct {
	mu      sync.Mutex
	file    *os.File
	sending sync.RWMutex // of file, which is closed when nobody is
	written int64        // bytes
	batch   int64        // bytes of one
	records int64        // of one
	wake    chan struct{}
	size    atomic.Int64 // what readers may see
}

// Serve answers connections of ln until it is closed.
func (b *Broker) Serve(ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if err := b.connection(c.(*net.TCPConn)); err != io.EOF {
				fmt.Fprintln(os.Stderr, "null broker:", err)
			}
		}()
	}
}

func (b *Broker) part(topic []byte, index int32) (*part, error) {
	var room [300]byte
	key := append(room[:0], topic...)
	key = append(key, '-')
	key = binary.BigEndian.AppendUint32(key, uint32(index))
	b.mu.RLock()
	p := b.parts[string(key)]
	b.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p = b.parts[string(key)]; p != nil {
		return p, nil
	}
	if string(topic) != b.topic {
		for _, old := range b.parts {
			go old.end() // of a measurement that is over
		}
		clear(b.parts)
		b.topic = string(topic)
	}
	f, err := os.CreateTemp(b.dir, "null")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name()) // its descriptor keeps it
	p = &part{file: f, wake: make(chan struct{})}
	b.parts[string(key)] = p
	return p, nil
}

// end gives the file back once nobody reads or writes it.
func (p *part) end() {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.file.Close()
}

// append checks, stamps and writes one batch.
func (p *part) append(batch []byte) (base int64, err error) {
	if len(batch) < 61 || crc32.Checksum(batch[21:], castagnoli) != binary.BigEndian.Uint32(batch[17:]) {
		return 0, fmt.Errorf("null: a batch of %d bytes with a wrong checksum", len(batch))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.batch == 0 {
		p.batch, p.records = int64(len(batch)), int64(binary.BigEndian.Uint32(batch[57:]))
	}
	base = p.written / p.batch * p.records
	binary.BigEndian.PutUint64(batch, uint64(base))
	if _, err := unix.Pwrite(int(p.file.Fd()), batch, p.written); err != nil {
		return 0, err
	}
	p.written += int64(len(batch))
	p.size.Store(p.written)
	close(p.wake)
	p.wake = make(chan struct{})
	return base, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// connection answers requests one after the other.
func (b *Broker) connection(c *net.TCPConn) error {
	in := bufio.NewReaderSize(c, 256<<10)
	s := session{b: b, conn: c}
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(size[:]))
		if n > 100<<20 {
			return fmt.Errorf("null: a frame of %d bytes", n)
		}
		if cap(s.frame) < n {
			s.frame = make([]byte, n)
		}
		s.frame = s.frame[:n]
		if _, err := io.ReadFull(in, s.frame); err != nil {
			return err
		}
		h, body, err := frame.ReadHeader(s.frame)
		if err != nil {
			return err
		}
		switch h.Key {
		case frame.KeyProduce:
			err = s.produce(h, body)
		case frame.KeyFetch:
			err = s.fetch(h, body)
		default:
			err = fmt.Errorf("null: api key %d", h.Key)
		}
		if err != nil {
			return err
		}
	}
}

// session is what a connection uses again and again.
type session struct {
	b     *Broker
	conn  *net.TCPConn
	frame []byte
	out   []byte
	preq  frame.ProduceRequest
	presp frame.ProduceResponse
	freq  frame.FetchRequest
}

func (s *session) produce(h frame.Header, body []byte) error {
	if err := s.preq.Decode(h.Version, body); err != nil {
		return err
	}
	s.presp.Topics, s.presp.Parts = s.preq.Topics, s.presp.Parts[:0]
	for i := range s.preq.Topics {
		t := &s.preq.Topics[i]
		for j := t.First; j < t.End; j++ {
			in := &s.preq.Parts[j]
			p, err := s.b.part(t.Name, in.Index)
			if err != nil {
				return err
			}
			base, err := p.append(in.Records)
			if err != nil {
				return err
			}
			s.presp.Parts = append(s.presp.Parts, frame.ProduceResult{Index: in.Index, Base: base, AppendTimeMs: -1, Leader: -1})
		}
	}
	s.out = frame.AppendResponseHeader(append(s.out[:0], 0, 0, 0, 0), h)
	s.out = s.presp.AppendTo(s.out, h.Version)
	binary.BigEndian.PutUint32(s.out, uint32(len(s.out)-4))
	_, err := s.conn.Write(s.out)
	return err
}

// span is what one partition of a fetch answers.
type span struct {
	topic int // in the request
	index int32
	part  *part
	off   int64
	size  int64
	high  int64
}

func (s *session) fetch(h frame.Header, body []byte) error {
	if err := s.freq.Decode(h.Version, body); err != nil {
		return err
	}
	spans, total, err := s.locate()
	if err != nil {
		return err
	}
	if total == 0 && len(spans) > 0 { // of several partitions the first is waited for: enough for what is measured here
		p := spans[0].part
		p.mu.Lock()
		wake, moved := p.wake, p.written > spans[0].off
		p.mu.Unlock()
		if !moved {
			timer := time.NewTimer(time.Duration(s.freq.MaxWaitMs) * time.Millisecond)
			select {
			case <-wake:
			case <-timer.C:
			}
			timer.Stop()
		}
		if spans, total, err = s.locate(); err != nil {
			return err
		}
	}
	return s.answer(h, spans, total)
}

// locate finds the bytes that each partition asks for.
func (s *session) locate() (spans []span, total int64, err error) {
	left := int64(s.freq.MaxBytes)
	for i := range s.freq.Topics {
		t := &s.freq.Topics[i]
		for j := t.First; j < t.End; j++ {
			in := &s.freq.Parts[j]
			p, err := s.b.part(t.Name, in.Index)
			if err != nil {
				return nil, 0, err
			}
			one := span{topic: i, index: in.Index, part: p}
			if size := p.size.Load(); size > 0 { // batch and records stand before size
				one.off = in.Offset / p.records * p.batch
				one.size = min(size-one.off, int64(in.MaxBytes), left)
				one.high = size / p.batch * p.records
			}
			left -= one.size
			total += one.size
			spans = append(spans, one)
		}
	}
	return spans, total, nil
}

// answer sends heads with MSG_MORE and records by sendfile.
func (s *session) answer(h frame.Header, spans []span, total int64) error {
	var heads [][]byte
	head := frame.AppendFetchBegin(frame.AppendResponseHeader(make([]byte, 4, 512), h), h.Version, 0, frame.None, 0, len(s.freq.Topics))
	size := int64(0)
	for i := range spans {
		one := &spans[i]
		t := &s.freq.Topics[one.topic]
		if i == 0 || spans[i-1].topic != one.topic {
			head = frame.AppendFetchTopic(head, h.Version, t.Name, t.ID, t.End-t.First)
		}
		r := frame.FetchResult{Index: one.index, HighWatermark: one.high, LastStable: one.high, Records: int(one.size), DivergingEpoch: -1, Leader: -1}
		head = r.AppendTo(head, h.Version)
		heads = append(heads, head)
		size += int64(len(head)) + one.size
		head = r.AppendEnd(nil, h.Version)
		if i == len(spans)-1 || spans[i+1].topic != one.topic {
			head = frame.AppendFetchTopicEnd(head, h.Version)
		}
	}
	head = frame.AppendFetchEnd(head, h.Version, nil)
	size += int64(len(head))
	if len(heads) > 0 {
		binary.BigEndian.PutUint32(heads[0], uint32(size-4))
	}
	for i := range spans {
		if err := s.send(heads[i], unix.MSG_MORE); err != nil {
			return err
		}
		if err := s.sendFile(spans[i].part, spans[i].off, spans[i].size); err != nil {
			return err
		}
	}
	return s.send(head, 0)
}

func (s *session) send(b []byte, flags int) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for len(b) > 0 {
			n, err := unix.SendmsgN(int(fd), b, nil, nil, flags|unix.MSG_NOSIGNAL)
			if err == unix.EAGAIN {
				return false
			}
			if err != nil {
				failed = err
				return true
			}
			b = b[n:]
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}

func (s *session) sendFile(p *part, off, n int64) error {
	p.sending.RLock()
	defer p.sending.RUnlock()
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	in := int(p.file.Fd())
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for n > 0 {
			sent, err := unix.Sendfile(int(fd), in, &off, int(n))
			switch {
			case err == unix.EAGAIN:
				return false
			case err != nil:
				failed = err
				return true
			case sent == 0:
				failed = io.ErrUnexpectedEOF
				return true
			}
			n -= int64(sent)
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}
