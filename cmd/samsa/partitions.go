// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/samsa-broker/samsa/cmd/samsa/loggers"
	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/controller/embedded"
	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/replica"
)

// partitions is what the controller drives: replicas, and the coordinator on
// those of the internal topic. It is embedded.Replicas.
type partitions struct {
	broker  *broker
	started atomic.Bool // what stood in the store at the start is led
	named   sync.Map    // keys without effect that were named already
}

// Lead makes this broker lead a partition.
func (p *partitions) Lead(l embedded.Leadership) error {
	c, minISR, err := p.config(l.Config, l.Adopted)
	if err != nil {
		return fmt.Errorf("topic %s: %w", l.Partition.Topic, err)
	}
	err = p.broker.set.Lead(replica.Leadership{
		ID: l.Partition, Topic: l.Topic, Epoch: engine.Epoch(l.LeaderEpoch), PartitionEpoch: l.PartitionEpoch,
		ISR: l.ISR, Replicas: l.Replicas, MinISR: minISR, Config: c,
		New: l.New && p.started.Load(), // what was new to an earlier life may stand in a directory that is lost now
	})
	if err != nil {
		return err
	}
	if l.Partition.Topic == meta.OffsetsTopic {
		p.broker.host.Lead(p.broker.set.Lookup([]byte(l.Partition.Topic), l.Partition.Index))
	}
	return nil
}

// Stop ends a replica and, if remove, its log.
func (p *partitions) Stop(id meta.Partition, remove bool) error {
	if id.Topic == meta.OffsetsTopic {
		p.broker.host.Resign(id.Index)
	} else if remove && id.Index == 0 {
		p.broker.host.TopicsDeleted([]string{id.Topic})
	}
	err := p.broker.set.Stop(id, remove)
	if !errors.Is(err, replica.ErrUnknownPartition) || !remove {
		return err
	}
	if err = p.broker.set.Discard(id); errors.Is(err, replica.ErrUnknownPartition) {
		return nil // there never was a log
	}
	return err
}

// Configure applies what is set on a topic.
func (p *partitions) Configure(topic string, values map[string]string, adopted bool) {
	c, minISR, err := p.config(values, adopted)
	if err != nil { // it was validated before it was stored
		p.broker.loggers.Logger(loggers.Config).Error("topic keeps its former settings", "topic", topic, "err", err)
		return
	}
	p.broker.set.Configure(topic, c, minISR)
}

// defaults are the settings of a topic that has none of its own.
func (p *partitions) defaults() *engine.Config {
	c, _, err := p.config(nil, true)
	if err != nil {
		panic("BUG: the broker's own defaults do not make a topic: " + err.Error())
	}
	return c
}

// config turns a topic's settings over the broker's into the engine's. An
// adopted topic deletes and compacts nothing.
func (p *partitions) config(values map[string]string, adopted bool) (c *engine.Config, minISR int, err error) {
	t, err := p.broker.current.Load().Topic(values)
	if err != nil {
		return nil, 0, err
	}
	p.nameIdle(values)
	return engineConfig(t, adopted), int(t.MinInsyncReplicas), nil
}

// nameIdle says once of each topic config that it is stored and has no effect.
func (p *partitions) nameIdle(values map[string]string) {
	for _, n := range config.TopicNotices(values) {
		if n.Kind == config.Unknown {
			continue // an older Kafka's, in a directory that was adopted
		}
		if _, before := p.named.LoadOrStore(n.Key, true); !before {
			p.broker.loggers.Logger(loggers.Config).Info("topic config is stored and has no effect here", "key", n.Key, "why", n.Why)
		}
	}
}

func engineConfig(t config.Topic, adopted bool) *engine.Config {
	c := &engine.Config{
		SegmentBytes: t.SegmentBytes, SegmentMs: t.SegmentMs, SegmentJitterMs: t.SegmentJitterMs,
		IndexBytes: t.SegmentIndexBytes, IndexIntervalBytes: t.IndexInterval,
		RetentionMs: t.RetentionMs, RetentionBytes: t.RetentionBytes,
		Delete: t.Delete && !adopted, Compact: t.Compact,
		DeleteDelayMs: t.FileDeleteDelayMs, FlushMessages: t.FlushMessages, FlushMs: t.FlushMs,
		MaxMessageBytes: t.MaxMessageBytes, BeforeMaxMs: t.TimestampBeforeMaxMs, AfterMaxMs: t.TimestampAfterMaxMs,
		Compression:      engine.CompressionType{Producer: t.Compression == "producer", Level: batch.LevelDefault},
		NoDownConversion: !t.DownConversion,
	}
	if t.LogAppendTime {
		c.MessageTimestampType = 1
	}
	if !c.Compression.Producer {
		codec, err := batch.ParseCodec(t.Compression)
		if err != nil {
			panic("BUG: config let compression.type " + t.Compression + " pass")
		}
		c.Compression.Codec = codec
		if t.HasLevel {
			c.Compression.Level = t.CompressionLevel
		}
	}
	return c
}
