// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/load"
)

// compressed produces batches that the broker opens as Kafka does.
func compressed(codec load.Codec) func(*slot) error {
	return func(s *slot) error {
		if isNull(s.sys.id) {
			return nil // it opens nothing, and is no limit of this
		}
		if err := s.create(6); err != nil {
			return err
		}
		shape := load.Shape{Records: 64, RecordBytes: 1024, Codec: codec}
		p := load.Produce{Conns: 2, Window: 4, Acks: 1, Shape: shape}
		p.Requests = s.work(2000)
		warm, err := s.produce(p)
		if err != nil {
			return err
		}
		p.Requests = s.work(8000)
		res, err := s.measure(func() (load.Result, error) { return s.produce(p) })
		if err != nil {
			return err
		}
		s.figures["broker CPU"] = s.cost / (float64(res.Records) * float64(shape.RecordBytes) / gib)
		return s.holds(warm.Records + res.Records)
	}
}

// fanOut is one stream in and five out.
func fanOut(s *slot) error {
	if err := s.create(6); err != nil {
		return err
	}
	const consumers = 5
	shape := load.Shape{Records: 63, RecordBytes: 1024}
	p := load.Produce{Conns: 2, Window: 256, Acks: 1, Shape: shape, Requests: s.work(10_000), Rate: 1600}
	var m *meter
	res, err := s.measure(func() (res load.Result, err error) {
		res, m, err = s.tail(p, consumers)
		return res, err
	})
	if err != nil {
		return err
	}
	s.figures["broker CPU"] = s.cost / (float64(res.Bytes) * consumers / gib)
	s.figures["p99"] = m.at(99)
	return nil
}

// idleTime is how long a row looks at a broker that has nothing to do.
const idleTime = 20 * time.Second

// idle waits and notes what the broker costs meanwhile.
func (s *slot) idle() error {
	before := s.sys.cpu()
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-time.After(time.Duration(float64(idleTime) * min(1, s.scale))):
	}
	s.figures["idle CPU"] = (s.sys.cpu() - before).Seconds()
	s.figures["RSS"] = float64(s.sys.group.RSS()) / (1 << 20)
	return nil
}

// many makes a topic of very many partitions, looks on while nothing happens,
// and then sends one batch to each and reads them all. A log exists once its end
// can be asked for.
func many(s *slot) error {
	if s.sys.adm == nil {
		return nil // the null broker makes none
	}
	before, began, parts := s.sys.group.RSS(), time.Now(), s.work(8000)
	if err := s.create(parts); err != nil {
		return err
	}
	s.figures["create"] = time.Since(began).Seconds()
	if err := s.idle(); err != nil {
		return err
	}
	s.figures["KiB a partition"] = float64(s.sys.group.RSS()-before) / 1024 / float64(parts)
	p := load.Produce{Conns: 1, Window: 64, Acks: 1, Shape: openLoopShape, Requests: parts}
	until := s.expect(p)
	_, err := s.measure(func() (load.Result, error) {
		res, err := s.produce(p)
		if err != nil {
			return res, err
		}
		f := load.Fetch{Addr: s.sys.addr, Topic: s.topic, Consumers: 1, Shape: p.Shape, From: s.read, Until: until}
		_, err = f.Run(s.ctx)
		return res, err
	})
	s.figures["broker CPU"] = s.cost / (float64(parts) / 1e3)
	return errors.Join(err, s.holds(int64(parts)))
}

// crowd opens very many connections, leaves them alone, and then sends a message
// a second on each.
func crowd(count int) func(*slot) error {
	return func(s *slot) error {
		if err := s.create(6); err != nil {
			return err
		}
		before, conns := s.sys.group.RSS(), s.work(count)
		c, err := load.OpenCrowd(s.sys.addr, s.topic, 6, conns, load.Shape{Records: 1, RecordBytes: 200}, s.seed)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := s.idle(); err != nil {
			return err
		}
		s.figures["KiB a connection"] = float64(s.sys.group.RSS()-before) / 1024 / float64(conns)
		const rounds = 5
		res, err := s.measure(func() (load.Result, error) { return c.Run(s.ctx, rounds, time.Second) })
		if err != nil {
			return err
		}
		s.figures["broker CPU"] = s.cost / (float64(res.Requests) / 1e6)
		s.figures["p99"] = float64(res.Latency.ValueAtQuantile(99))
		return s.holds(int64(conns * rounds))
	}
}

// moreRows are those that look at much of something, or at the disk.
func moreRows() []row {
	list := []row{
		{id: "W14", story: "8,000 partitions: create them until every log exists, idle 20 s, then a batch to each, and read all", plain: true, within: 10 * time.Minute,
			figures: []figure{{"create", "s", true, 10, 30}, {"idle CPU", "CPU-s", true, 2, 10}, {"RSS", "MiB", true, 5, 10},
				{"broker CPU", "CPU-s per thousand batches", true, 2, 4}, {"KiB a partition", "", true, 0, 0}},
			bounds: []bound{{"KiB a partition", "own", 20, 15}}, run: many},
		{id: "W16", story: "5,000 idle connections for 20 s, then a message a second on each", plain: true, within: 5 * time.Minute,
			figures: crowdFigures, bounds: []bound{{"KiB a connection", "own", 8, 6.5}}, run: crowd(5000)},
		{id: "W16k", story: "the same with 1,000", plain: true, within: 5 * time.Minute,
			figures: crowdFigures, bounds: []bound{{"KiB a connection", "own", 8, 6.5}}, run: crowd(1000)},
	}
	list = append(list, diskRows()...)
	list = append(list, startRows()...)
	return append(list, clientRows()...)
}

var crowdFigures = []figure{{"idle CPU", "CPU-s", true, 2, 4}, {"RSS", "MiB", true, 5, 10}, {"broker CPU", "CPU-s/Mmsg", true, 2, 4},
	{"p99", "µs from due", true, 1.5, 4}, {"KiB a connection", "", true, 0, 0}}
