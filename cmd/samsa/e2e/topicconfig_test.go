// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// shop is the broker that the topic configs are tried on.
type shop struct {
	*Broker
	t    *testing.T
	wide *wideKey // a key that is set on the broker instead of on topics; nil: none
}

// topic makes a topic of one partition with a config laid over what the proof
// needs, and returns its name.
func (s *shop) topic(name string, configs ...string) string {
	s.t.Helper()
	values := map[string]string{}
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		values[key] = value
	}
	if s.wide != nil {
		return s.wide.topic(s, name, values)
	}
	CreateTopic(s.t, s.Addr, name, 1, values)
	return name
}

// send produces records one by one, uncompressed, and returns the last error.
func (s *shop) send(topic string, records ...*kgo.Record) error {
	s.t.Helper()
	c := Client(s.t, s.Addr, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(4<<20))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	for _, r := range records {
		own := &kgo.Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
		err = c.ProduceSync(ctx, own).FirstErr()
	}
	return err
}

// every gives n records of a size whose timestamps are a step apart and end now.
func every(n, size int, step time.Duration) (records []*kgo.Record) {
	first := time.Now().Add(-time.Duration(n) * step)
	for i := range n {
		records = append(records, &kgo.Record{Value: []byte(strings.Repeat("v", size)), Timestamp: first.Add(time.Duration(i) * step)})
	}
	return records
}

// segments counts the files of a topic's partition with a suffix.
func (s *shop) segments(topic, suffix string) int {
	s.t.Helper()
	names, err := filepath.Glob(filepath.Join(s.Dir, topic+"-0", "*"+suffix))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(names)
}

// sizes adds up the bytes of those files.
func (s *shop) sizes(topic, suffix string) (total int64) {
	s.t.Helper()
	names, _ := filepath.Glob(filepath.Join(s.Dir, topic+"-0", "*"+suffix))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			total += info.Size()
		}
	}
	return total
}

// start is a topic's log start offset.
func (s *shop) start(topic string) int64 {
	s.t.Helper()
	listed, err := kadm.NewClient(Client(s.t, s.Addr)).ListStartOffsets(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	o, _ := listed.Lookup(topic, 0)
	return o.Offset
}

// batch is the first stored batch of a topic, as a consumer gets it.
func (s *shop) batch(topic string) []byte {
	s.t.Helper()
	resp, err := Dial(s.t, s.Addr).Call(FetchRequest(topic, 0, 0, 4<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	b := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches
	if len(b) < 61 {
		s.t.Fatalf("%s: %d bytes of records", topic, len(b))
	}
	return b
}

func codec(batch []byte) int       { return int(batch[22] & 7) }
func maxTime(batch []byte) int64   { return int64(binary.BigEndian.Uint64(batch[35:])) }
func appendTime(batch []byte) bool { return batch[22]&8 != 0 }

// proofs show that a topic config acts, each by what is different with it; the
// empty ones have no effect yet and are named in the log when a topic sets them.
var proofs = map[string]func(s *shop) error{
	"cleanup.policy":       proveCleanupPolicy,
	"compression.type":     proveCompressionType,
	"file.delete.delay.ms": proveDeleteDelay,
	"max.message.bytes":    proveMaxMessageBytes,
	"message.timestamp.type": func(s *shop) error {
		hourAgo := time.Now().Add(-time.Hour)
		own, brokers := s.topic("time-create"), s.topic("time-append", "message.timestamp.type=LogAppendTime")
		for _, topic := range []string{own, brokers} {
			if err := s.send(topic, &kgo.Record{Value: []byte("x"), Timestamp: hourAgo}); err != nil {
				return err
			}
		}
		a, b := s.batch(own), s.batch(brokers)
		if appendTime(a) || maxTime(a) != hourAgo.UnixMilli() || !appendTime(b) || time.Since(time.UnixMilli(maxTime(b))) > time.Minute {
			return fmt.Errorf("timestamps %d and %d, sent %d", maxTime(a), maxTime(b), hourAgo.UnixMilli())
		}
		return nil
	},
	"message.timestamp.before.max.ms":     func(s *shop) error { return proveBound(s, "before", true, false) },
	"message.timestamp.after.max.ms":      func(s *shop) error { return proveBound(s, "after", false, true) },
	"message.timestamp.difference.max.ms": func(s *shop) error { return proveBound(s, "difference", true, true) },
	"retention.bytes": func(s *shop) error {
		topic := s.topic("keep-bytes", "segment.bytes=1000", "retention.bytes=3000")
		return s.shrinks(topic, every(40, 300, 0), func() bool { size := s.sizes(topic, ".log"); return size >= 3000 && size <= 5000 })
	},
	"retention.ms": func(s *shop) error {
		topic := s.topic("keep-ms", "segment.bytes=1000", "retention.ms=3600000")
		return s.shrinks(topic, every(40, 300, 10*time.Minute), func() bool { return s.start(topic) >= 30 })
	},
	"segment.bytes": func(s *shop) error {
		return s.more(s.topic("seg-bytes", "segment.bytes=1000"), s.topic("seg-whole"), every(20, 300, 0))
	},
	"segment.ms": func(s *shop) error {
		return s.more(s.topic("seg-ms", "segment.ms=600000"), s.topic("seg-week"), every(20, 10, 11*time.Minute))
	},
	"segment.jitter.ms": func(s *shop) error {
		return s.more(s.topic("seg-jitter", "segment.ms=3600000", "segment.jitter.ms=3600000"), s.topic("seg-hour", "segment.ms=3600000"), every(60, 10, 20*time.Minute))
	},
	"segment.index.bytes": func(s *shop) error {
		return s.more(s.topic("seg-index", "segment.index.bytes=64", "index.interval.bytes=0"), s.topic("seg-big", "index.interval.bytes=0"), every(40, 100, 0))
	},
	"index.interval.bytes":   proveIndexInterval,
	"compression.gzip.level": func(s *shop) error { return s.smaller("gzip", "1", "9") },
	"compression.lz4.level":  func(s *shop) error { return s.smaller("lz4", "9", "17") },
	"compression.zstd.level": func(s *shop) error { return s.smaller("zstd", "3", "19") },
	// The rig that cuts the power shows these two: they matter with samsa.durability=kafka.
	"flush.messages": func(*shop) error { return nil },
	"flush.ms":       func(*shop) error { return nil },

	"delete.retention.ms": nil, "max.compaction.lag.ms": nil, "min.compaction.lag.ms": nil, "min.cleanable.dirty.ratio": nil,
	"follower.replication.throttled.replicas": nil, "leader.replication.throttled.replicas": nil, "local.retention.bytes": nil,
	"local.retention.ms": nil, "message.downconversion.enable": proveDownConversion, "message.format.version": nil, "min.insync.replicas": nil,
	"preallocate": nil, "unclean.leader.election.enable": nil,
	"remote.storage.enable": proveRefused("remote.storage.enable"), "remote.log.copy.disable": proveRefused("remote.log.copy.disable"),
	"remote.log.delete.on.disable": proveRefused("remote.log.delete.on.disable"),
}

// Every topic config of Kafka 3.9 acts, end to end, or is named once as without
// effect. The table must hold exactly what DescribeConfigs shows.
func TestEveryTopicConfig(t *testing.T) {
	s := &shop{t: t, Broker: Start(t, Options{Props: map[string]string{"log.retention.check.interval.ms": "200", "message.max.bytes": "2097152", "log.flush.offset.checkpoint.interval.ms": "200"}})}
	s.topic("plain")
	shown, err := kadm.NewClient(Client(t, s.Addr)).DescribeTopicConfigs(t.Context(), "plain")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range shown[0].Configs {
		proof, ok := proofs[c.Key]
		if !ok {
			t.Errorf("%s is described and has no proof", c.Key)
			continue
		}
		t.Run(c.Key, func(t *testing.T) {
			one := &shop{t: t, Broker: s.Broker}
			if proof == nil {
				proof = proveNamed(c.Key, c.MaybeValue())
			}
			if err := proof(one); err != nil {
				t.Error(err)
			}
		})
	}
	if len(shown[0].Configs) != len(proofs) {
		t.Errorf("%d configs are described, %d proven", len(shown[0].Configs), len(proofs))
	}
}

// proveDownConversion: an old consumer reads a topic that converts, and is
// refused by one that does not.
func proveDownConversion(s *shop) error {
	off := s.topic("down-off", "message.downconversion.enable=false")
	for topic, want := range map[string]int16{s.topic("down-on"): 0, off: kerr.UnsupportedVersion.Code} {
		Produce(s.t, s.Addr, topic, 0, []string{"value"})
		req := FetchRequest(topic, 0, 0, 1<<20)
		req.Version = 3
		resp, err := Dial(s.t, s.Addr).Call(req)
		if err != nil {
			return err
		}
		p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode != want || (want == 0) != (len(p.RecordBatches) > 0) {
			return fmt.Errorf("%s: %d, %d bytes", topic, p.ErrorCode, len(p.RecordBatches))
		}
	}
	return nil
}

// proveNamed: a key without effect is named once, however many topics set it.
func proveNamed(key, value string) func(*shop) error {
	return func(s *shop) error {
		for i := range 2 {
			s.topic(fmt.Sprintf("idle-%s-%d", key, i), key+"="+value)
		}
		if n := strings.Count(s.Log(), "key="+key+" "); n != 1 {
			return fmt.Errorf("%s is named %d times", key, n)
		}
		return nil
	}
}

// proveRefused: a key whose silent loss would be dangerous cannot be set.
func proveRefused(key string) func(*shop) error {
	return func(s *shop) error {
		resp, _ := kadm.NewClient(Client(s.t, s.Addr)).CreateTopic(s.t.Context(), 1, 1, map[string]*string{key: kadm.StringPtr("true")}, "refused")
		if !errors.Is(resp.Err, kerr.InvalidConfig) || !strings.Contains(resp.ErrMessage, key) {
			return fmt.Errorf("%s=true: %v %s", key, resp.Err, resp.ErrMessage)
		}
		return nil
	}
}
