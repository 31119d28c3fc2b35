// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"

	"github.com/samsa-broker/samsa/engine/producer"
)

// What an operation on a Log may answer. Operands are wrapped around these
// with %w; ask with errors.Is.
var (
	// ErrOffsetOutOfRange means that an offset lies below the log start or
	// beyond the log end.
	ErrOffsetOutOfRange = errors.New("engine: offset out of range")
	// ErrOutOfOrderSequence means that a producer's batch does not follow its
	// last one.
	ErrOutOfOrderSequence = producer.ErrOutOfOrder
	// ErrInvalidProducerEpoch means that a newer incarnation of the producer
	// has written here.
	ErrInvalidProducerEpoch = producer.ErrEpoch
	// ErrCoordinatorFenced means that a transaction marker carries an older
	// coordinator epoch than the last one seen for its producer.
	ErrCoordinatorFenced = producer.ErrCoordinatorEpoch
	// ErrInvalidTxnState means that a batch outside any transaction arrived
	// while its producer has a transaction open here.
	ErrInvalidTxnState = producer.ErrTxnState
	// ErrTooLarge means that the batches of one append exceed segment.bytes
	// (Kafka's RECORD_LIST_TOO_LARGE).
	ErrTooLarge = errors.New("engine: append is larger than a segment")
	// ErrCorrupt means that bytes offered for append, or found in a file, are
	// not what their header says.
	ErrCorrupt = errors.New("engine: corrupt batch")
	// ErrNoSpace means that the file system is full. The log is as it was
	// before, and may take appends again when there is room.
	ErrNoSpace = errors.New("engine: no space left on device")
	// errResources means that the process has no file descriptors left. The log
	// is as it was before.
	errResources = errors.New("engine: out of file descriptors")
	// ErrIO means that the disk failed. The log is fenced: nothing more is
	// appended to it, and no later success undoes that.
	ErrIO = errors.New("engine: disk error, log is fenced")
	// ErrClosed means that the log was closed.
	ErrClosed = errors.New("engine: log is closed")
)
