// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/benchmarks/load"
)

// compressed produces batches that the broker opens as Kafka does.
func compressed(codec load.Codec) func(*slot) error {
	return func(s *slot) error {
		if s.sys.id == "null" {
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
	s.figures["p99"] = float64(m.counts.ValueAtQuantile(99))
	return nil
}

// idleTime is how long a row looks at a broker that has nothing to do.
const idleTime = 20 * time.Second

// idle waits and notes what the broker costs meanwhile.
func (s *slot) idle() error {
	before := s.sys.group.CPU()
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-time.After(time.Duration(float64(idleTime) * min(1, s.scale))):
	}
	s.figures["idle CPU"] = (s.sys.group.CPU() - before).Seconds()
	s.figures["RSS"] = float64(s.sys.group.RSS()) / (1 << 20)
	return nil
}

// many makes a topic of very many partitions. A log exists once its end can be
// asked for.
func many(s *slot) error {
	if s.sys.adm == nil {
		return nil // the null broker makes none
	}
	began := time.Now()
	if err := s.create(s.work(8000)); err != nil {
		return err
	}
	s.figures["create"] = time.Since(began).Seconds()
	return s.idle()
}

// crowd opens very many connections, leaves them alone, and then asks each for
// the versions it speaks.
func crowd(s *slot) error {
	if s.sys.adm == nil {
		return nil // the null broker answers nothing but Produce and Fetch
	}
	conns := make([]net.Conn, 0, 5000)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for len(conns) < s.work(5000) {
		c, err := net.DialTimeout("tcp", s.sys.addr, 10*time.Second)
		if err != nil {
			return fmt.Errorf("connection %d: %w", len(conns)+1, err)
		}
		conns = append(conns, c)
	}
	if err := s.idle(); err != nil {
		return err
	}
	req := kmsg.NewPtrApiVersionsRequest()
	ask := kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench")).AppendRequest(nil, req, 1)
	took := load.NewLatency()
	answer := make([]byte, 64<<10)
	for _, c := range conns {
		began := time.Now()
		if _, err := c.Write(ask); err != nil {
			return err
		}
		_ = c.SetReadDeadline(began.Add(10 * time.Second))
		if n, err := c.Read(answer); err != nil || n < 8 {
			return fmt.Errorf("%w: %d bytes of an answer: %v", load.ErrWrong, n, err)
		}
		_ = took.RecordValue(max(1, time.Since(began).Microseconds())) // above a minute: the read has failed before
	}
	s.figures["p99"] = float64(took.ValueAtQuantile(99))
	return nil
}
