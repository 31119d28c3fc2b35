// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// Offset numbers a record within its log.
type Offset int64

// Epoch is a leader epoch: how often the partition changed leaders. -1 is
// unknown.
type Epoch int32

// Origin says whose append it is.
type Origin uint8

const (
	// Client batches get their offsets here and have their sequences checked.
	Client Origin = iota
	// Replica batches keep offsets and epochs; they are checked by their CRC
	// and update producer state without being judged.
	Replica
	// Coordinator batches get their offsets here; sequences are not checked.
	// Transaction markers are such batches.
	Coordinator
)

// Config is one log's settings, named after Kafka's topic configs. It is
// immutable once given to a Log and replaced as a whole.
type Config struct {
	SegmentBytes         int32           // segment.bytes
	SegmentMs            int64           // segment.ms
	SegmentJitterMs      int64           // segment.jitter.ms; each segment takes a part of it off SegmentMs
	IndexBytes           int32           // segment.index.bytes: an index that is full rolls its segment
	IndexIntervalBytes   int32           // index.interval.bytes
	RetentionMs          int64           // retention.ms; -1 keeps for ever
	RetentionBytes       int64           // retention.bytes; -1 keeps everything
	Delete               bool            // cleanup.policy contains delete
	Compact              bool            // cleanup.policy contains compact
	DeleteDelayMs        int64           // file.delete.delay.ms
	FlushMessages        int64           // flush.messages
	FlushMs              int64           // flush.ms
	MaxMessageBytes      int32           // max.message.bytes, enforced by batch.Check
	MessageTimestampType int8            // 0 CreateTime, 1 LogAppendTime, enforced by batch.Check
	BeforeMaxMs          int64           // message.timestamp.before.max.ms
	AfterMaxMs           int64           // message.timestamp.after.max.ms
	Compression          CompressionType // compression.type
	NoDownConversion     bool            // message.downconversion.enable is false
}

// CompressionType is a topic's compression.type: the producer's own, or one
// codec for all.
type CompressionType struct {
	Producer bool        // keep what the producer chose
	Codec    batch.Codec // else recompress to this
	Level    int         // of that codec; batch.LevelDefault: its own
}

// DefaultConfig returns Kafka 3.9's defaults.
func DefaultConfig() *Config {
	const week = 7 * 24 * time.Hour
	const forever = 1<<63 - 1
	return &Config{
		SegmentBytes: 1 << 30, SegmentMs: week.Milliseconds(), IndexBytes: 10 << 20, IndexIntervalBytes: 4096,
		RetentionMs: week.Milliseconds(), RetentionBytes: -1, Delete: true, DeleteDelayMs: 60_000,
		FlushMessages: forever, FlushMs: forever, MaxMessageBytes: 1048588,
		BeforeMaxMs: forever, AfterMaxMs: forever, Compression: CompressionType{Producer: true, Level: batch.LevelDefault},
	}
}

// Options says how to open one log.
type Options struct {
	FS               vfs.FS
	Config           *Config          // nil: DefaultConfig
	Now              func() time.Time // nil: time.Now
	RecoveryPoint    Offset           // what lies below was fdatasynced; 0 if unknown
	LogStart         Offset           // from log-start-offset-checkpoint; 0 if unknown
	Clean            bool             // the directory was shut down cleanly, and RecoveryPoint is the log end
	ProducerExpiryMs func() int64     // producer.id.expiration.ms as it is now; nil: one day
	// Cut drops what stands above RecoveryPoint: the caller has it, checked, and
	// appends it again. Nothing of it is read. Where the log cannot be cut there
	// (it is shorter, say) it is recovered as without.
	Cut bool
	// Recalled, with Cut, is how many of the offsets below RecoveryPoint are left
	// out of producer state, because the caller brings them with Recall.
	Recalled Offset
	// Producers, when not empty, is what Flush.Producers gave for the flush
	// that made RecoveryPoint the synced end, or with Cut an earlier one. It spares the scan from the
	// newest snapshot to RecoveryPoint, and remembers five batches a producer
	// where a snapshot remembers one.
	Producers   []byte
	Descriptors *Descriptors // shared limit of open files; nil: none
	Events      *Events
}
