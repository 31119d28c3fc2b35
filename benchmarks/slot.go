// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/samsa-broker/samsa/benchmarks/host"
	"github.com/samsa-broker/samsa/benchmarks/load"
)

// slot is one row carried out once against one system.
type slot struct {
	ctx   context.Context
	sys   *system
	flush bool    // topics with flush.messages=1
	loose bool    // a rehearsal: nothing is waited for that only later slots would feel
	scale float64 // of the amount of work
	seed  uint64
	env   *environment
	topic string
	parts int
	most  float64 // requests a second that the slowest contender manages; 0: not known yet
	part  float64 // of it, for an open loop

	topics  []string        // made, to be removed
	read    map[int32]int64 // offsets up to which the tail was read
	others  time.Duration   // processor time of what the slot started itself
	cost    float64         // CPU-seconds of the broker in the measured part
	device  host.IO         // of the measured part
	client  float64         // of this process, as a part of one core
	figures map[string]float64
}

// work scales an amount of work.
func (s *slot) work(n int) int { return max(1, int(float64(n)*s.scale)) }

// awake waits until a broker that was frozen answers as before: its first
// request afterwards may find it without a session.
func (s *slot) awake() error {
	if s.sys.adm == nil {
		return nil
	}
	return s.until("waits: the broker does not wake", func() error {
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		defer cancel()
		_, err := s.sys.adm.ListTopics(ctx)
		return err
	})
}

// create makes the slot's topic and waits until every partition has a leader.
func (s *slot) create(parts int) error {
	s.parts = parts
	return s.makeTopic(s.topic, parts)
}

// makeTopic makes one more topic.
func (s *slot) makeTopic(topic string, parts int) error {
	if s.sys.adm == nil {
		return nil
	}
	s.topics = append(s.topics, topic)
	configs := map[string]*string{}
	if s.flush {
		one := "1"
		configs["flush.messages"] = &one
	}
	resp, err := s.sys.adm.CreateTopic(s.ctx, int32(parts), 1, configs, topic)
	if err = errors.Join(err, resp.Err); err != nil {
		return fmt.Errorf("create %s: %w", topic, err)
	}
	return s.until("has no leaders", func() error {
		ends, err := s.sys.adm.ListEndOffsets(s.ctx, topic)
		if err == nil {
			err = ends.Error()
		}
		if err == nil && len(ends[topic]) != parts {
			err = fmt.Errorf("%d of %d partitions", len(ends[topic]), parts)
		}
		return err
	})
}

// remove deletes the slot's topics and waits until they and their files are gone.
func (s *slot) remove() error {
	if s.sys.adm == nil || len(s.topics) == 0 {
		return nil
	}
	resp, err := s.sys.adm.DeleteTopics(s.ctx, s.topics...)
	if err = errors.Join(err, resp.Error()); err != nil {
		return fmt.Errorf("delete %s: %w", s.topics, err)
	}
	err = s.until("is still there", func() error {
		list, err := s.sys.adm.ListTopics(s.ctx, s.topics...)
		if err != nil {
			return err
		}
		for _, topic := range s.topics {
			if d := list[topic]; d.Err == nil || !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
				return errors.New("listed")
			}
		}
		return nil
	})
	if err != nil || s.loose {
		return err
	}
	return s.until("leaves files", func() error {
		for _, topic := range s.topics {
			if left, _ := filepath.Glob(filepath.Join(s.sys.dir, topic+"-*")); len(left) > 0 { // its pattern is a good one
				return fmt.Errorf("%d folders", len(left))
			}
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
	cpu := s.sys.cpu()
	before, uncounted := host.Device(s.sys.dir)
	res, err := f()
	s.cost += (s.sys.cpu() - cpu).Seconds()
	if after, err := host.Device(s.sys.dir); err == nil && uncounted == nil {
		s.device = after.Less(before)
	}
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
