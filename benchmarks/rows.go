// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"strconv"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/load"
)

// row is one workload of the matrix.
type row struct {
	id, story string
	ci        bool          // in the small set
	flush     bool          // Kafka's topics have flush.messages=1; Samsa's default mode needs none
	plain     bool          // durability plays no part: no slots with flush.messages=1
	ours      bool          // of Samsa's modes among themselves
	stock     bool          // with the kernel's own limits of dirty pages
	part      float64       // an open loop at this part of what the slowest manages
	within    time.Duration // for a slot (3 min)
	figures   []figure
	bounds    []bound
	run       func(s *slot) error
}

// figure is one number of a row. Thresholds are ratios of which more is better:
// of Kafka's cost or time to ours, or of our rate to Kafka's; 0: Kafka is no
// measure for it.
type figure struct {
	name, unit string
	less       bool // is better
	must, aim  float64
}

// bound holds a figure of ours to a number ("own": the most, or the least of a
// rate) or to a limit line of the same run: the null broker's figure ("null") or
// a line's ("L9 buffered"), of which it must reach a part.
type bound struct {
	figure, of string
	must, aim  float64
}

const gib = 1 << 30

// rows is the matrix, in the order in which it runs.
func rows() []row {
	cost := func(unit string, must, aim float64) figure { return figure{"broker CPU", unit, true, must, aim} }
	list := []row{
		{id: "W1", story: "produce 1 KiB records in 256 KiB batches, one connection, one partition, acks=1", ci: true,
			figures: []figure{cost("CPU-s/GiB", 1.15, 1.4), {"rate", "MiB/s", false, 1.15, 1.4}},
			bounds:  []bound{{"broker CPU", "null", 0.85, 0.95}},
			run:     func(s *slot) error { return bulk(s, 1, 1, 4, load.Shape{Records: 250, RecordBytes: 1024}, 4000, gib) }},
		{id: "W2", story: "produce 100 B records in 16 KiB batches, 4 connections, 6 partitions, acks=1", ci: true,
			figures: []figure{cost("CPU-s/Mmsg", 1.8, 2.4), {"rate", "Mmsg/s", false, 1.6, 2.4}},
			bounds:  []bound{{"broker CPU", "null", 0.8, 0.9}},
			run:     func(s *slot) error { return bulk(s, 6, 4, 8, load.Shape{Records: 150, RecordBytes: 100}, 40_000, 0) }},
		{id: "W3", story: "one record of 200 B a request, 8 connections, 8 requests under way on each, acks=1", ci: true,
			figures: []figure{{"requests", "thousands per CPU-s", false, 3, 6}, {"rate", "thousands/s", false, 3, 6}},
			bounds:  []bound{{"requests", "null", 0.6, 0.8}}, run: tiny},
		{id: "W4", story: "produce lz4 batches of 64 KiB that shrink to a quarter, 2 connections, 6 partitions, acks=1; they are opened and checked",
			figures: []figure{cost("CPU-s/GiB before compression", 1.2, 2)}, run: compressed(load.LZ4)},
		{id: "W4z", story: "the same with zstd", figures: []figure{cost("CPU-s/GiB before compression", 1.2, 2)}, run: compressed(load.Zstd)},
		{id: "W5", story: "fragmented: 100 connections, 100 partitions, batches of 1.5 KiB, acks=1",
			figures: []figure{cost("CPU-s/Mmsg", 1.8, 3), {"rate", "Mmsg/s", false, 1.5, 3}},
			bounds:  []bound{{"broker CPU", "null", 0.5, 0.7}},
			run: func(s *slot) error {
				return bulk(s, 100, 100, 1, load.Shape{Records: 10, RecordBytes: 140}, 150_000, 0)
			}},
		{id: "W6", story: "read a GiB that is cached, one consumer, 1 MiB a partition and request", ci: true,
			figures: []figure{cost("CPU-s/GiB", 1, 1), {"rate", "GiB/s", false, 1, 1}},
			bounds:  []bound{{"broker CPU", "null", 0.9, 0.95}}, run: reread(4)},
		{id: "W6b", story: "read the GiB that lies 4 GiB behind the tail, cached, one consumer", plain: true,
			figures: []figure{cost("CPU-s/GiB", 1, 1), {"rate", "GiB/s", false, 1, 1}},
			bounds:  []bound{{"broker CPU", "null", 0.9, 0.95}}, run: reread(20)},
		{id: "W7", story: "100 MiB/s in, 5 consumers at the tail: batches of 64 KiB, 6 partitions",
			figures: []figure{cost("CPU-s/GiB delivered", 1.2, 1.6), {"p99", "µs from due to seen", true, 1.2, 2}},
			bounds:  []bound{{"broker CPU", "null", 0.75, 0.9}}, run: fanOut},
		{id: "W8", story: "one record under way, a consumer parked in its fetch", ci: true,
			figures: []figure{{"p50", "µs from due to seen", true, 1.3, 1.5}, {"p99", "µs from due to seen", true, 1, 1.3}},
			bounds:  []bound{{"p50", "null", 1 / 1.2, 1}}, run: ping},
		{id: "W8d", story: "one record every 20 ms on an idle broker: what an ack costs the device", flush: true,
			figures: []figure{{"writes", "a record", true, 0, 0}, {"flushes", "a record", true, 0, 0}, {"p50", "µs", true, 1, 1.2}},
			bounds:  []bound{{"writes", "own", 1.05, 1}, {"flushes", "own", 1.05, 1}}, run: lone},
		{id: "W9-20", story: "open loop at a fifth of what the slowest manages, 1 KiB, 6 partitions, from due to seen", part: 0.2,
			figures: latencies, run: open},
		{id: "W9", story: "the same at half", ci: true, part: 0.5, figures: latencies, bounds: []bound{{"p99", "null", 1 / 1.5, 1}}, run: open},
		{id: "W9-80", story: "the same at four fifths", part: 0.8, figures: latencies, run: open},
		{id: "W11", story: "every ack from disk: one partition, 8 requests of 1 KiB under way", flush: true,
			figures: []figure{{"acks", "/s", false, 1.1, 1.3}, {"p99", "µs", true, 1.1, 1.5}}, bounds: []bound{{"acks", "L8 overwrite", 0.9, 1}},
			run: func(s *slot) error { return synced(s, 1, 1, 8, 8000) }},
		{id: "W11a", story: "the same, one request under way", flush: true, figures: []figure{{"acks", "/s", false, 1.1, 1.3}, {"p99", "µs", true, 1.1, 1.5}},
			bounds: []bound{{"acks", "L8 overwrite", 0.9, 1}}, run: func(s *slot) error { return synced(s, 1, 1, 1, 4000) }},
		{id: "W12", story: "every ack from disk: 64 partitions, 16 connections, 4 requests of 1 KiB under way on each", ci: true, flush: true,
			figures: []figure{{"acks", "/s", false, 3, 5}, {"p99", "µs", true, 3, 6}, {"acks a flush", "", false, 0, 0}}, bounds: []bound{{"acks a flush", "own", 8, 16}},
			run: func(s *slot) error { return synced(s, 64, 16, 4, 30_000) }},
		{id: "W13", story: "1,000 partitions, all active: one connection in, one out",
			figures: []figure{cost("CPU-s/Mmsg", 2, 4), {"p99", "µs from due to seen", true, 1.5, 3}}, run: wide},
	}
	return append(list, moreRows()...)
}

// latencies of an open loop.
var latencies = []figure{{"p50", "µs", true, 1.2, 1.4}, {"p99", "µs", true, 1.2, 1.6}, {"p99.9", "µs", true, 1.2, 2}}

// bulk produces a fixed number of batches, and the fifth of it before as a
// warm-up; per is the bytes a cost is counted on, or 0 for a million records.
func bulk(s *slot, parts, conns, window int, shape load.Shape, batches int, per float64) error {
	if err := s.create(parts); err != nil {
		return err
	}
	p := load.Produce{Conns: conns, Window: window, Acks: 1, Shape: shape}
	p.Requests = s.work(batches / 5)
	warm, err := s.produce(p)
	if err != nil {
		return err
	}
	p.Requests = s.work(batches)
	res, err := s.measure(func() (load.Result, error) { return s.produce(p) })
	if err != nil {
		return err
	}
	if per > 0 {
		s.figures["broker CPU"] = s.cost / (float64(res.Bytes) / per)
		s.figures["rate"] = float64(res.Bytes) / (1 << 20) / res.Took.Seconds()
	} else {
		s.figures["broker CPU"] = s.cost / (float64(res.Records) / 1e6)
		s.figures["rate"] = float64(res.Records) / 1e6 / res.Took.Seconds()
	}
	return s.holds(warm.Records + res.Records)
}

func tiny(s *slot) error {
	if err := s.create(6); err != nil {
		return err
	}
	p := load.Produce{Conns: 8, Window: 8, Acks: 1, Shape: load.Shape{Records: 1, RecordBytes: 200}}
	p.Requests = s.work(40_000)
	warm, err := s.produce(p)
	if err != nil {
		return err
	}
	p.Requests = s.work(200_000)
	res, err := s.measure(func() (load.Result, error) { return s.produce(p) })
	if err != nil {
		return err
	}
	s.figures["requests"] = float64(res.Requests) / 1e3 / s.cost
	s.figures["rate"] = float64(res.Requests) / 1e3 / res.Took.Seconds()
	return s.holds(warm.Records + res.Records)
}

// reread writes quarters of a GiB and reads the first GiB again and again.
func reread(quarters int) func(*slot) error {
	return func(s *slot) error {
		if err := s.create(1); err != nil {
			return err
		}
		shape := load.Shape{Records: 250, RecordBytes: 1024}
		if _, err := s.produce(load.Produce{Conns: 1, Window: 4, Acks: 1, Shape: shape, Requests: s.work(quarters * 1000)}); err != nil {
			return err
		}
		until := map[int32]int64{0: int64(s.work(4000) * shape.Records)}
		f := load.Fetch{Addr: s.sys.addr, Topic: s.topic, Consumers: 1, Shape: shape, From: map[int32]int64{0: 0}, Until: until}
		if _, err := f.Run(s.ctx); err != nil { // a warm-up
			return err
		}
		var sum load.Result
		_, err := s.measure(func() (load.Result, error) {
			for range 4 {
				res, err := f.Run(s.ctx)
				if err != nil {
					return sum, err
				}
				sum.Bytes += res.Bytes
				sum.Took += res.Took
				sum.CPU += res.CPU
			}
			return sum, nil
		})
		s.figures["broker CPU"] = s.cost / (float64(sum.Bytes) / gib)
		s.figures["rate"] = float64(sum.Bytes) / gib / sum.Took.Seconds()
		return err
	}
}

func ping(s *slot) error {
	if err := s.create(1); err != nil {
		return err
	}
	p := load.Produce{Conns: 1, Window: 1, Acks: 1, Shape: load.Shape{Records: 1, RecordBytes: 1024}, Requests: s.work(4000), Rate: 800}
	_, m, err := s.tail(p, 1)
	s.figures["p50"], s.figures["p99"] = float64(m.counts.ValueAtQuantile(50)), float64(m.counts.ValueAtQuantile(99))
	return err
}

// openLoopShape is one record of 1 KiB.
var openLoopShape = load.Shape{Records: 1, RecordBytes: 1024}

// open finds what this contender manages at most, when nobody has asked yet,
// and then runs at a part of the least that any managed.
func open(s *slot) error {
	if err := s.create(6); err != nil {
		return err
	}
	p := load.Produce{Conns: 4, Window: 256, Acks: 1, Shape: openLoopShape}
	if s.most == 0 {
		p.Requests = s.work(100_000)
		res, err := s.produce(p)
		s.figures["most"] = float64(res.Requests) / res.Took.Seconds()
		return err
	}
	p.Rate = s.most * s.part
	p.Requests = s.work(int(p.Rate * 6))
	_, m, err := s.tail(p, 1)
	for _, f := range latencies {
		q, _ := strconv.ParseFloat(f.name[1:], 64) // "p99.9"
		s.figures[f.name] = m.at(q)
	}
	return err
}

func synced(s *slot, parts, conns, window, requests int) error {
	if err := s.create(parts); err != nil {
		return err
	}
	p := load.Produce{Conns: conns, Window: window, Acks: 1, Shape: openLoopShape}
	p.Requests = s.work(requests / 5)
	warm, err := s.produce(p)
	if err != nil {
		return err
	}
	p.Requests = s.work(requests)
	res, err := s.measure(func() (load.Result, error) { return s.produce(p) })
	if err != nil {
		return err
	}
	s.figures["acks"] = float64(res.Requests) / res.Took.Seconds()
	s.figures["p99"] = float64(res.Latency.ValueAtQuantile(99))
	if s.device.Flushes > 0 {
		s.figures["acks a flush"] = float64(res.Requests) / float64(s.device.Flushes)
	}
	return s.holds(warm.Records + res.Records)
}

func wide(s *slot) error {
	if err := s.create(1000); err != nil {
		return err
	}
	p := load.Produce{Conns: 1, Window: 64, Acks: 1, Shape: load.Shape{Records: 1, RecordBytes: 200}, Requests: s.work(60_000), Rate: 8000}
	var m *meter
	_, err := s.measure(func() (res load.Result, err error) {
		res, m, err = s.tail(p, 1)
		return res, err
	})
	s.figures["broker CPU"] = s.cost / (float64(p.Requests) / 1e6)
	s.figures["p99"] = float64(m.counts.ValueAtQuantile(99))
	return err
}
