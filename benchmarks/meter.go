// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/samsa-broker/samsa/benchmarks/load"
)

// meter measures from when a record was due to when a consumer had it.
type meter struct {
	mu     sync.Mutex
	due    map[place]time.Time // acknowledged, not seen yet
	seen   map[place]time.Time // seen before its ack
	counts *hdrhistogram.Histogram
	step   int64 // records in a batch
	closed bool  // what comes now is not counted
}

// stop lets the meter count no more.
func (m *meter) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}

// at is a quantile (50, 99.9) in µs.
func (m *meter) at(quantile float64) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return float64(m.counts.ValueAtQuantile(quantile))
}

type place struct {
	partition int32
	offset    int64
}

func newMeter(shape load.Shape) *meter {
	return &meter{step: int64(shape.Records), due: map[place]time.Time{}, seen: map[place]time.Time{}, counts: load.NewLatency()}
}

func (m *meter) sent(partition int32, base int64, due time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := place{partition, base}
	if seen, ok := m.seen[at]; ok {
		delete(m.seen, at)
		m.note(seen.Sub(due))
		return
	}
	m.due[at] = due
}

func (m *meter) saw(partition int32, base, records int64, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := int64(0); i < records; i += m.step {
		p := place{partition, base + i}
		if due, ok := m.due[p]; ok {
			delete(m.due, p)
			m.note(at.Sub(due))
			continue
		}
		m.seen[p] = at
	}
}

func (m *meter) note(d time.Duration) {
	if m.closed {
		return
	}
	_ = m.counts.RecordValue(max(1, d.Microseconds())) // above a minute: the slot fails by its time
}

// tail produces at a rate while consumers read the tail, of whom the first is
// measured, and returns when all have everything.
func (s *slot) tail(p load.Produce, consumers int) (produced load.Result, m *meter, err error) {
	m = newMeter(p.Shape)
	produced, err = s.tailInto(m, p, consumers)
	return produced, m, err
}

func (s *slot) tailInto(m *meter, p load.Produce, consumers int) (produced load.Result, err error) {
	p.Sent = m.sent
	from, until := s.read, s.expect(p)
	s.read = until
	done := make(chan error, consumers)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	for i := range consumers {
		f := load.Fetch{Addr: s.sys.addr, Topic: s.topic, Consumers: 1, From: from, Until: until, Shape: p.Shape}
		if i == 0 {
			f.Seen = m.saw
		}
		go func() {
			_, err := f.Run(ctx)
			done <- err
		}()
	}
	if produced, err = s.produce(p); err != nil {
		return produced, err
	}
	for late := time.After(30 * time.Second); consumers > 0 && err == nil; consumers-- {
		select {
		case err = <-done:
		case <-late:
			err = fmt.Errorf("%w: a consumer of %s does not get what was acknowledged", load.ErrWrong, s.topic)
		}
	}
	return produced, err
}

// expect is where p's requests leave the end of each partition.
func (s *slot) expect(p load.Produce) map[int32]int64 {
	if s.read == nil {
		s.read = map[int32]int64{}
		for i := range s.parts {
			s.read[int32(i)] = 0
		}
	}
	until := maps.Clone(s.read)
	for c := range p.Conns { // a connection deals its requests out in turn, each beginning one further
		n := p.Requests / p.Conns
		if c < p.Requests%p.Conns {
			n++
		}
		for i := range n {
			until[int32((i+c)%s.parts)] += int64(p.Shape.Records)
		}
	}
	return until
}
