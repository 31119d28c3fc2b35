// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/load"
)

// startRows start brokers of their own: how long until the first ack, and what a
// burdened heap does.
func startRows() []row {
	return []row{
		{id: "W15", story: "from the start of an empty broker to its first ack, the creation of the topic included", plain: true, within: 5 * time.Minute,
			figures: []figure{{"first ack", "s", true, 10, 20}}, run: startEmpty},
		{id: "W15c", story: "the same with 8,000 partitions, stopped cleanly before", plain: true, within: 15 * time.Minute,
			figures: []figure{{"first ack", "s", true, 5, 10}}, run: startClean},
		{id: "W15k", story: "the same after kill -9 with 4 GiB unflushed in 6 partitions", plain: true, within: 8 * time.Minute,
			figures: []figure{{"first ack", "s", true, 3, 10}, {"recovery", "MiB/s of what was unflushed", false, 3, 10}},
			bounds:  []bound{{"recovery", "L9 buffered", 0.7, 1}}, run: startKilled},
		{id: "G1", story: "10,000 requests a second of 1 KiB beside 400 MB of live heap and 300 MB/s of garbage", ours: true, within: 5 * time.Minute,
			figures: []figure{{"p99", "µs from due to seen", true, 0, 0}, {"p99 without", "µs", true, 0, 0}, {"p99.9", "µs", true, 0, 0}},
			bounds:  []bound{{"p99", "own", 10_000, 7000}}, run: garbage},
	}
}

// fresh starts one more broker of a kind beside the frozen ones, lets f use it as
// the slot's own, and ends it. before, which may be nil, comes ahead of f.
func (s *slot) fresh(id string, before func(*system) error, f func(*slot) error) error {
	if isNull(s.sys.id) {
		return nil // no limit of this
	}
	outer := s.sys
	if err := outer.group.Freeze(); err != nil {
		return err
	}
	sys, err := s.env.startFresh(s.ctx, id)
	if err != nil {
		return err
	}
	s.sys = sys
	defer func() {
		s.others += sys.cpu()
		sys.stop()
		_ = os.RemoveAll(sys.dir) // at the latest it goes with the run's folder
		s.sys, s.topics = outer, nil
	}()
	if before != nil {
		if err := before(sys); err != nil {
			return err
		}
	}
	return f(s)
}

// acked is how long after its start the broker acknowledges something.
func (s *slot) acked() (float64, error) {
	p := load.Produce{Conns: 1, Window: 1, Acks: 1, Shape: openLoopShape, Requests: 1}
	for {
		_, err := s.produce(p)
		if err == nil {
			return time.Since(s.sys.began).Seconds(), nil
		}
		if s.ctx.Err() != nil {
			return 0, errors.Join(s.ctx.Err(), err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func startEmpty(s *slot) error {
	return s.fresh(s.sys.id, nil, func(s *slot) (err error) {
		if err = s.create(1); err != nil {
			return err
		}
		s.figures["first ack"], err = s.acked()
		return err
	})
}

// startClean starts a broker again that has very many partitions.
func startClean(s *slot) error {
	return s.fresh(s.sys.id, nil, func(s *slot) error {
		parts := s.work(8000)
		if err := s.create(parts); err != nil {
			return err
		}
		if _, err := s.produce(load.Produce{Conns: 1, Window: 64, Acks: 1, Shape: openLoopShape, Requests: parts}); err != nil {
			return err
		}
		if err := s.sys.end(syscall.SIGTERM, 5*time.Minute); err != nil {
			return err
		}
		return s.startAgain(int64(parts))
	})
}

// startKilled starts a broker again that was killed in the middle of its work.
func startKilled(s *slot) error {
	return s.fresh(s.sys.id, nil, func(s *slot) error {
		if err := s.create(6); err != nil {
			return err
		}
		made, err := s.produce(load.Produce{Conns: 2, Window: 4, Acks: 1, Shape: coldShape, Requests: s.work(16_000)})
		if err != nil {
			return err
		}
		if err := s.sys.end(syscall.SIGKILL, time.Minute); err != nil {
			return err
		}
		if s.sys.side != nil {
			time.Sleep(2 * s.sys.session) // until ZooKeeper lets its name go: not counted against Kafka
		}
		if err := s.startAgain(made.Records); err != nil {
			return err
		}
		s.figures["recovery"] = float64(made.Bytes) / (1 << 20) / s.figures["first ack"]
		return nil
	})
}

// startAgain starts the broker and checks that it has what it acknowledged.
func (s *slot) startAgain(records int64) (err error) {
	if err = s.sys.again(s.ctx); err != nil {
		return fmt.Errorf("%s does not start again: %w%s", s.sys.name, err, tail(s.sys.log))
	}
	if s.figures["first ack"], err = s.acked(); err != nil {
		return err
	}
	return s.holds(records + 1)
}

// garbage measures an open loop without and with a burdened heap.
func garbage(s *slot) error {
	if s.sys.id != "samsa" {
		return nil // what the collector does depends on no mode
	}
	m := newMeter(openLoopShape)
	measure := func(s *slot) error {
		if err := s.create(6); err != nil {
			return err
		}
		s.read = nil
		p := load.Produce{Conns: 16, Window: 64, Acks: 1, Shape: openLoopShape, Rate: 10_000, Requests: s.work(80_000)}
		_, err := s.tailInto(m, p, 1)
		return err
	}
	if err := s.fresh("samsa", nil, measure); err != nil {
		return err
	}
	s.figures["p99 without"] = m.at(99)
	m = newMeter(openLoopShape)
	heap := func(*system) error {
		time.Sleep(time.Duration(float64(3*time.Second) * min(1, s.scale))) // until its heap is there
		return nil
	}
	err := s.fresh("samsa-garbage", heap, measure)
	s.figures["p99"], s.figures["p99.9"] = m.at(99), m.at(99.9)
	return err
}
