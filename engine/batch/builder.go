// SPDX-License-Identifier: Apache-2.0

package batch

// Header is what a Builder puts into a batch's header. Start from
// PlainHeader, whose producer fields say "no producer".
type Header struct {
	BaseOffset      int64
	LeaderEpoch     int32
	Codec           Codec
	Level           int // LevelDefault for the codec's own
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	Transactional   bool
	Control         bool
	LogAppendTimeMs int64 // NoTimestamp for create time
}

// Builder builds a batch record by record, in memory that it reuses. The zero
// value needs Reset first.
type Builder struct{}

// Reset starts a new batch. What Finish returned before is gone.
func (b *Builder) Reset(h Header) { panic("BUG: batch.Builder is not built yet") }

// Append adds a record at the next offset. A nil key or value is null.
func (b *Builder) Append(timestampMs int64, key, value []byte, headers ...RecordHeader) {
	panic("BUG: batch.Builder is not built yet")
}

// RecordHeader is a header of a record. A nil value is null.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Finish closes the batch and returns it; it lives until the next Reset.
func (b *Builder) Finish() (Batch, error) { panic("BUG: batch.Builder is not built yet") }
