// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/host"
	"github.com/samsa-broker/samsa/benchmarks/load"
)

// diskRows look at what reaches the disk and what comes back from it.
func diskRows() []row {
	list := []row{
		{id: "W10", story: "W9 at half, and beside it a reader of 8 GiB that is not cached", part: 0.5, within: 8 * time.Minute,
			figures: coldFigures, bounds: []bound{{"times p99", "own", 1.5, 1.2}, {"catch-up", "L9 buffered", 0.85, 0.95}},
			run: func(s *slot) error { return cold(s) }},
		{id: "W10m", story: "the same in a memory group of 1 GiB", part: 0.5, ours: true, within: 8 * time.Minute,
			figures: coldFigures, bounds: []bound{{"times p99", "own", 1.5, 1.2}}, run: boundedCold},
		{id: "W18", story: "20 GiB without a pause, 256 KiB batches, 2 connections, 6 partitions, the kernel's own limits of dirty pages",
			stock: true, within: 10 * time.Minute, figures: []figure{{"rate", "MiB/s", false, 1, 1.1}, {"p99.9", "µs", true, 1.5, 4}},
			bounds: []bound{{"rate", "L6 buffered", 0.9, 1}}, run: sustained},
	}
	for _, parts := range []int{1, 100, 2000} {
		for _, kib := range []int{1, 16} {
			list = append(list, row{id: fmt.Sprintf("J%d-%dK", parts, kib), ours: true,
				story:   fmt.Sprintf("what the journal costs: batches of %d KiB into %d partitions, 4 connections, acks=1", kib, parts),
				figures: []figure{{"acks", "thousands/s", false, 0, 0}, {"broker CPU", "CPU-s per million batches", true, 0, 0}, {"p99", "µs", true, 0, 0}, {"device", "GiB", true, 0, 0}, {"amplification", "bytes written a byte of batches", true, 0, 0}},
				run:     func(s *slot) error { return journalCost(s, parts, kib) }})
		}
	}
	return list
}

var coldFigures = []figure{{"p99", "µs from due to seen", true, 2, 5}, {"catch-up", "MiB/s", false, 1, 1.3}, {"p99 alone", "µs", true, 0, 0}, {"times p99", "", true, 0, 0}}

// coldShape is of what the cold reader reads.
var coldShape = load.Shape{Records: 250, RecordBytes: 1024}

// cold writes 8 GiB, lets the page cache forget them, and measures an open loop
// first alone and then for as long as they are read.
func cold(s *slot) error {
	if s.sys.adm == nil {
		return nil // the null broker keeps one topic
	}
	if err := s.create(6); err != nil {
		return err
	}
	tail := load.Produce{Conns: 4, Window: 256, Acks: 1, Shape: openLoopShape, Rate: s.most * s.part}
	tail.Requests = s.work(int(tail.Rate * 6))
	_, m, err := s.tail(tail, 1)
	if err != nil {
		return err
	}
	s.figures["p99 alone"] = m.at(99)
	reader, err := s.coldReader()
	if err != nil {
		return err
	}
	m = newMeter(tail.Shape)
	var read load.Result
	done := make(chan error, 1)
	go func() {
		var err error
		read, err = reader.Run(s.ctx)
		m.stop()
		done <- err
	}()
	tail.Requests *= 3
	if _, err = s.tailInto(m, tail, 1); err != nil {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	s.figures["p99"] = m.at(99)
	s.figures["times p99"] = m.at(99) / s.figures["p99 alone"]
	s.figures["catch-up"] = float64(read.Bytes) / (1 << 20) / read.Took.Seconds()
	return nil
}

// coldReader makes the topic of the cold reader.
func (s *slot) coldReader() (load.Fetch, error) {
	topic := s.topic + "-cold"
	if err := s.makeTopic(topic, 1); err != nil {
		return load.Fetch{}, err
	}
	p := load.Produce{Addr: s.sys.addr, Topic: topic, Partitions: 1, Conns: 1, Window: 4, Acks: 1, Shape: coldShape, Requests: s.work(32_000), Seed: s.seed}
	if need := int64(p.Requests) * 256 << 10; host.Free(s.sys.dir) < need+need/4 {
		return load.Fetch{}, fmt.Errorf("%s has no room for %d MiB", s.sys.dir, need>>20)
	}
	made, err := p.Run(s.ctx)
	if err != nil {
		return load.Fetch{}, err
	}
	left, err := host.DropCache(filepath.Join(s.sys.dir, topic+"-0", "*.log"))
	if err != nil {
		return load.Fetch{}, err
	}
	if left > made.Bytes/20 {
		return load.Fetch{}, fmt.Errorf("%d of %d bytes stay in the page cache", left, made.Bytes)
	}
	return load.Fetch{Addr: s.sys.addr, Topic: topic, Consumers: 1, Shape: coldShape, From: map[int32]int64{0: 0}, Until: map[int32]int64{0: made.Records}}, nil
}

// boundedCold is cold against a broker of its own in a memory group.
func boundedCold(s *slot) error {
	return s.fresh(s.sys.id, func(sys *system) error { return sys.group.Limit(1 << 30) }, cold)
}

// sustained writes more than memory holds.
func sustained(s *slot) error {
	if err := s.create(6); err != nil {
		return err
	}
	p := load.Produce{Conns: 2, Window: 4, Acks: 1, Shape: coldShape, Requests: s.work(80_000)}
	if need := int64(p.Requests) * 256 << 10; host.Free(s.sys.dir) < need+need/8 {
		return fmt.Errorf("%s has no room for %d MiB", s.sys.dir, need>>20)
	}
	res, err := s.measure(func() (load.Result, error) { return s.produce(p) })
	if err != nil {
		return err
	}
	s.figures["rate"] = float64(res.Bytes) / (1 << 20) / res.Took.Seconds()
	s.figures["p99.9"] = float64(res.Latency.ValueAtQuantile(99.9))
	return s.holds(res.Records)
}

// lone sends a record now and then and counts what the device does for it.
func lone(s *slot) error {
	if err := s.create(1); err != nil {
		return err
	}
	p := load.Produce{Conns: 1, Window: 1, Acks: 1, Shape: openLoopShape, Requests: s.work(50), Rate: 50}
	warm, err := s.produce(p)
	if err != nil {
		return err
	}
	syncAll() // what the topic's files cost is no part of it
	if err := s.countable(); err != nil {
		return err
	}
	p.Requests = s.work(300)
	res, err := s.measure(func() (load.Result, error) { return s.produce(p) })
	if err != nil {
		return err
	}
	s.figures["writes"] = float64(s.device.Writes) / float64(res.Requests)
	s.figures["flushes"] = float64(s.device.Flushes) / float64(res.Requests)
	s.figures["p50"] = float64(res.Latency.ValueAtQuantile(50))
	return s.holds(warm.Records + res.Records)
}

// countable tells whether the slot's disk counts what it does.
func (s *slot) countable() error {
	_, err := host.Device(s.sys.dir)
	return err
}

// journalCost writes small batches and counts every byte until all is on disk.
func journalCost(s *slot, parts, kib int) error {
	if err := s.create(parts); err != nil {
		return err
	}
	if err := s.countable(); err != nil {
		return err
	}
	p := load.Produce{Conns: 4, Window: 32, Acks: 1, Shape: load.Shape{Records: kib, RecordBytes: 1000}, Requests: s.work(160_000 / kib)}
	syncAll()
	before, err := host.Device(s.sys.dir)
	if err != nil {
		return err
	}
	res, err := s.measure(func() (load.Result, error) { return s.produce(p) })
	if err != nil {
		return err
	}
	syncAll()
	after, err := host.Device(s.sys.dir)
	if err != nil {
		return err
	}
	s.figures["acks"] = float64(res.Requests) / 1e3 / res.Took.Seconds()
	s.figures["broker CPU"] = s.cost / (float64(res.Requests) / 1e6)
	s.figures["p99"] = float64(res.Latency.ValueAtQuantile(99))
	s.figures["device"] = float64(after.Less(before).Bytes) / gib
	s.figures["amplification"] = float64(after.Less(before).Bytes) / float64(res.Bytes)
	return s.holds(res.Records)
}
