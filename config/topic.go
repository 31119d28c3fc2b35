// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Topic holds the configs of one topic, its own where set, else the broker's.
// Times are milliseconds, sizes bytes.
type Topic struct {
	SegmentBytes      int32
	SegmentMs         int64
	SegmentJitterMs   int64
	SegmentIndexBytes int32 // of one index file
	IndexInterval     int32 // bytes between two entries
	Preallocate       bool

	Delete            bool  // cleanup.policy contains delete
	Compact           bool  // cleanup.policy contains compact
	RetentionMs       int64 // -1: for ever
	RetentionBytes    int64 // -1: all
	FileDeleteDelayMs int64

	FlushMessages int64
	FlushMs       int64

	MaxMessageBytes      int32
	Compression          string // producer, uncompressed, gzip, snappy, lz4, zstd
	CompressionLevel     int    // of that codec, when HasLevel
	HasLevel             bool   // the codec has levels
	LogAppendTime        bool   // message.timestamp.type
	TimestampBeforeMaxMs int64
	TimestampAfterMaxMs  int64

	DeleteRetentionMs      int64
	MinCompactionLagMs     int64
	MaxCompactionLagMs     int64
	MinCleanableDirtyRatio float64
	MinInsyncReplicas      int32
	UncleanLeaderElection  bool
	DownConversion         bool // message.downconversion.enable
}

func isTrue(v string) bool { return strings.EqualFold(v, "true") }

// toInteger reads a number that its key's check has seen.
func toInteger(v string) int64 {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		panic("BUG: config: unchecked number " + strconv.Quote(v))
	}
	return n
}

// ValidateTopic checks one topic config. A *ValueError for values and unknown
// keys alike.
func ValidateTopic(name, value string) error {
	key := topicIndex[name]
	if key == nil {
		return &ValueError{Key: name, Value: value, Allowed: "no such topic config"}
	}
	_, err := key.Parse(value)
	return err
}

// TopicNotices names the configs of a topic that are kept without having an
// effect here, or yet, sorted by key.
func TopicNotices(own map[string]string) []Notice {
	var notices []Notice
	for _, name := range names(own) {
		key := topicIndex[name]
		switch {
		case key == nil:
			notices = append(notices, stranger(name))
		case key.Effect == Later:
			notices = append(notices, Notice{Kind: NotYet, Key: name, Why: key.Why})
		case key.Effect == None:
			notices = append(notices, Notice{Kind: WithoutUse, Key: name, Why: key.Why})
		}
	}
	return notices
}

// TopicDefaults are the configs of a topic that sets none.
func (b *Broker) TopicDefaults() Topic { return b.resolve(nil) }

// Topic checks a topic's configs, one by one and together, and lays them over
// the broker's. The error joins a *ValueError for everything that is wrong.
func (b *Broker) Topic(own map[string]string) (Topic, error) {
	checked := make(map[string]string, len(own))
	var faults []error
	for _, name := range names(own) {
		key := topicIndex[name]
		if key == nil {
			faults = append(faults, ValidateTopic(name, own[name]))
			continue
		}
		value, err := key.Parse(own[name])
		if err != nil {
			faults = append(faults, err)
			continue
		}
		checked[name] = value
	}
	if len(faults) > 0 {
		return Topic{}, errors.Join(faults...)
	}
	t := b.resolve(checked)
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		return Topic{}, &ValueError{Key: "min.compaction.lag.ms", Value: strconv.FormatInt(t.MinCompactionLagMs, 10),
			Allowed: "want at most max.compaction.lag.ms, which is " + strconv.FormatInt(t.MaxCompactionLagMs, 10)}
	}
	return t, nil
}

// effective is the value in force of a topic config: the topic's own, else the
// strongest of the broker keys it inherits from, else the default.
func (b *Broker) effective(own map[string]string, name string) string {
	key := topicIndex[name]
	if key == nil {
		panic("BUG: config: no topic key " + name)
	}
	if v, ok := own[name]; ok {
		return v
	}
	for _, from := range key.Inherits {
		if v, ok := b.Value(from); ok {
			return inherited(name, from, v)
		}
	}
	return key.Default
}

// inherited converts hours and minutes, and what the broker means by less than
// nothing.
func inherited(name, from, v string) string {
	factor := int64(0)
	switch {
	case strings.HasSuffix(from, ".hours"):
		factor = 3600_000
	case strings.HasSuffix(from, ".minutes"):
		factor = 60_000
	case name == "retention.ms":
		factor = 1
	default:
		return v
	}
	n := toInteger(v) * factor
	if name == "retention.ms" && n < 0 {
		n = -1
	}
	return strconv.FormatInt(n, 10)
}

// resolve makes the typed form of checked configs.
func (b *Broker) resolve(own map[string]string) Topic {
	text := func(name string) string { return b.effective(own, name) }
	number := func(name string) int64 { return toInteger(text(name)) }
	ratio, err := strconv.ParseFloat(text("min.cleanable.dirty.ratio"), 64)
	if err != nil {
		panic("BUG: config: unchecked min.cleanable.dirty.ratio")
	}
	t := Topic{
		SegmentBytes: int32(number("segment.bytes")), SegmentMs: number("segment.ms"), SegmentJitterMs: number("segment.jitter.ms"),
		SegmentIndexBytes: int32(number("segment.index.bytes")), IndexInterval: int32(number("index.interval.bytes")),
		Preallocate: isTrue(text("preallocate")),

		RetentionMs: number("retention.ms"), RetentionBytes: number("retention.bytes"), FileDeleteDelayMs: number("file.delete.delay.ms"),
		FlushMessages: number("flush.messages"), FlushMs: number("flush.ms"),

		MaxMessageBytes: int32(number("max.message.bytes")), Compression: text("compression.type"),
		LogAppendTime:        text("message.timestamp.type") == "LogAppendTime",
		TimestampBeforeMaxMs: number("message.timestamp.before.max.ms"), TimestampAfterMaxMs: number("message.timestamp.after.max.ms"),

		DeleteRetentionMs: number("delete.retention.ms"), MinCompactionLagMs: number("min.compaction.lag.ms"),
		MaxCompactionLagMs: number("max.compaction.lag.ms"), MinCleanableDirtyRatio: ratio,
		MinInsyncReplicas: int32(number("min.insync.replicas")), UncleanLeaderElection: isTrue(text("unclean.leader.election.enable")),
		DownConversion: isTrue(text("message.downconversion.enable")),
	}
	for _, policy := range items(text("cleanup.policy")) {
		t.Delete = t.Delete || policy == "delete"
		t.Compact = t.Compact || policy == "compact"
	}
	switch t.Compression {
	case "gzip", "lz4", "zstd":
		t.HasLevel, t.CompressionLevel = true, int(number("compression."+t.Compression+".level"))
	}
	// The deprecated difference acts where its successors were left alone.
	if difference := number("message.timestamp.difference.max.ms"); difference != math.MaxInt64 {
		if t.TimestampBeforeMaxMs == math.MaxInt64 {
			t.TimestampBeforeMaxMs = difference
		}
		if t.TimestampAfterMaxMs == math.MaxInt64 {
			t.TimestampAfterMaxMs = difference
		}
	}
	return t
}
