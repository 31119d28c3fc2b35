// SPDX-License-Identifier: Apache-2.0

package batch

// Record is one record as Walk gives it. Its slices are views; Key, Value and
// Headers must not be kept beyond the call.
type Record struct {
	Offset      int64  // base offset plus OffsetDelta
	OffsetDelta int32  // within its batch
	Timestamp   int64  // ms; the batch's where the batch has log append time
	Key         []byte // nil when KeyNull
	Value       []byte // nil when ValueNull
	KeyNull     bool
	ValueNull   bool
	HeaderCount int32
	Headers     []byte // raw: HeaderCount of (varint length, key, varint length or -1, value)
}

// Scratch is the memory that walking, checking and building reuse: buffers and
// the state of codecs. The zero value is ready. One goroutine at a time; what
// was returned from it is gone when it is used again.
type Scratch struct{}

// Walk gives every record of b to fn, in order, and stops at fn's first error,
// which it returns. It allocates nothing for a batch that is not compressed.
// ErrInvalidRecord when the records contradict the header or themselves,
// ErrTooLarge when they decompress to more than the scratch allows.
func Walk(b Batch, scratch *Scratch, fn func(r *Record) error) error {
	panic("BUG: batch.Walk is not built yet")
}
