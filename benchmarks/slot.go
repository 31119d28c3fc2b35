// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/samsa-broker/samsa/benchmarks/load"
)

// slot is one row carried out once against one system.
type slot struct {
	ctx   context.Context
	sys   *system
	flush bool    // topics with flush.messages=1
	scale float64 // of the amount of work
	seed  uint64
	topic string
	parts int
	maxes map[string]float64 // of this row: what each contender managed at most

	cost    float64 // CPU-seconds of the broker in the measured part
	client  float64 // of this process, as a part of one core
	figures map[string]float64
}

// work scales an amount of work.
func (s *slot) work(n int) int { return max(1, int(float64(n)*s.scale)) }

// create makes the slot's topic and waits until every partition has a leader.
func (s *slot) create(parts int) error {
	s.parts = parts
	if s.sys.adm == nil {
		return nil
	}
	configs := map[string]*string{}
	if s.flush {
		one := "1"
		configs["flush.messages"] = &one
	}
	resp, err := s.sys.adm.CreateTopic(s.ctx, int32(parts), 1, configs, s.topic)
	if err = errors.Join(err, resp.Err); err != nil {
		return fmt.Errorf("create %s: %w", s.topic, err)
	}
	return s.until("has no leaders", func() error {
		ends, err := s.sys.adm.ListEndOffsets(s.ctx, s.topic)
		if err == nil {
			err = ends.Error()
		}
		if err == nil && len(ends[s.topic]) != parts {
			err = fmt.Errorf("%d of %d partitions", len(ends[s.topic]), parts)
		}
		return err
	})
}

// remove deletes the topic and waits until it is gone.
func (s *slot) remove() error {
	if s.sys.adm == nil || s.parts == 0 {
		return nil
	}
	resp, err := s.sys.adm.DeleteTopics(s.ctx, s.topic)
	if err = errors.Join(err, resp.Error()); err != nil {
		return fmt.Errorf("delete %s: %w", s.topic, err)
	}
	return s.until("is still there", func() error {
		list, err := s.sys.adm.ListTopics(s.ctx, s.topic)
		if err != nil {
			return err
		}
		if d := list[s.topic]; d.Err == nil || !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			return errors.New("listed")
		}
		return nil
	})
}

// until repeats f until it succeeds or a minute has passed.
func (s *slot) until(what string, f func() error) error {
	for deadline := time.Now().Add(time.Minute); ; {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s %s: %w", s.topic, what, err)
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// measure runs f and notes what it cost the broker.
func (s *slot) measure(f func() (load.Result, error)) (load.Result, error) {
	cpu := s.sys.group.CPU()
	res, err := f()
	s.cost += (s.sys.group.CPU() - cpu).Seconds()
	if res.Took > 0 {
		s.client = res.CPU.Seconds() / res.Took.Seconds()
	}
	return res, err
}

// produce carries out p on the slot's topic.
func (s *slot) produce(p load.Produce) (load.Result, error) {
	p.Addr, p.Topic, p.Partitions, p.Seed = s.sys.addr, s.topic, s.parts, s.seed
	return p.Run(s.ctx)
}

// ends are the offsets behind the last record of each partition.
func (s *slot) ends() (map[int32]int64, error) {
	list, err := s.sys.adm.ListEndOffsets(s.ctx, s.topic)
	if err = errors.Join(err, list.Error()); err != nil {
		return nil, err
	}
	out := map[int32]int64{}
	for p, o := range list[s.topic] {
		out[p] = o.Offset
	}
	return out, nil
}

// holds checks that the topic has as many records as were acknowledged.
func (s *slot) holds(records int64) error {
	if s.sys.adm == nil {
		return nil
	}
	ends, err := s.ends()
	if err != nil {
		return err
	}
	sum := int64(0)
	for _, end := range ends {
		sum += end
	}
	if sum != records {
		return fmt.Errorf("%w: %s holds %d records, %d were acknowledged", load.ErrWrong, s.topic, sum, records)
	}
	return nil
}

// meter measures from when a record was due to when a consumer had it.
type meter struct {
	mu     sync.Mutex
	due    map[place]time.Time // acknowledged, not seen yet
	seen   map[place]time.Time // seen before its ack
	counts *hdrhistogram.Histogram
	step   int64 // records in a batch
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
	_ = m.counts.RecordValue(max(1, d.Microseconds())) // above a minute: the slot fails by its time
}

// tail produces at a rate while consumers read the tail, of whom the first is
// measured, and returns when all have everything.
func (s *slot) tail(p load.Produce, consumers int) (produced load.Result, m *meter, err error) {
	m = newMeter(p.Shape)
	p.Sent = m.sent
	until, from := map[int32]int64{}, map[int32]int64{}
	for i := range s.parts { // a connection deals its requests out in turn, each beginning one further
		from[int32(i)] = 0
		until[int32(i)] = 0
	}
	for c := range p.Conns {
		n := p.Requests / p.Conns
		if c < p.Requests%p.Conns {
			n++
		}
		for i := range n {
			until[int32((i+c)%s.parts)] += int64(p.Shape.Records)
		}
	}
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
		return produced, m, err
	}
	for late := time.After(30 * time.Second); consumers > 0 && err == nil; consumers-- {
		select {
		case err = <-done:
		case <-late:
			err = fmt.Errorf("%w: a consumer of %s does not get what was acknowledged", load.ErrWrong, s.topic)
		}
	}
	return produced, m, err
}
