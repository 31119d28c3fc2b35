// SPDX-License-Identifier: Apache-2.0

package batch

// Origin says who made a batch.
type Origin uint8

// Who may append. Clients may not write control batches; replicas and
// coordinators are trusted to have made theirs well.
const (
	Client Origin = iota
	Replica
	Coordinator
)

// TimestampType is message.timestamp.type of a topic.
type TimestampType uint8

// The two timestamp types.
const (
	CreateTime TimestampType = iota
	LogAppendTime
)

// Rules are what a topic asks of a batch.
type Rules struct {
	TargetCodec   Codec // CodecProducer keeps what the producer chose
	TimestampType TimestampType
	BeforeMaxMs   int64 // message.timestamp.before.max.ms
	AfterMaxMs    int64 // message.timestamp.after.max.ms
	Now           int64 // ms since 1970
	Compact       bool  // cleanup.policy contains compact: every record needs a key
	MaxSize       int   // cap of what the records may decompress to, bytes; 0: DefaultMaxSize
	Origin        Origin
	Level         int // of TargetCodec; LevelDefault for the codec's own
}

// Info is what Check learnt.
type Info struct {
	MaxTimestamp int64 // ms, NoTimestamp where no record has one
	OffsetOfMax  int32 // offset delta of the first record with MaxTimestamp
	Count        int32 // records
	Rewritten    bool  // the batch returned stands in memory of the Scratch
}

// DefaultMaxSize caps the decompressed records of a batch where Rules name no cap.
const DefaultMaxSize = 256 << 20

// Check judges one whole batch (see Next) as Kafka's LogValidator would, the
// checksum included. The batch it returns is what belongs into the log: b,
// with its largest timestamp corrected or stamped in place, or a rewritten one
// in memory of scratch. It does not judge the batch's own size, of which only
// the caller knows the limit; a rewritten one may be larger than b.
//
// ErrCorrupt, ErrInvalidRecord, ErrInvalidTimestamp, ErrUnsupportedMagic,
// ErrUnsupportedCodec or ErrTooLarge; where single records are at fault the
// error is a *RecordsError that wraps one of these.
func Check(b Batch, rules Rules, scratch *Scratch) (Batch, Info, error) {
	panic("BUG: batch.Check is not built yet")
}
