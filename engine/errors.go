// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"

	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/vfs"
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

// fence keeps a log from being used after its disk failed it, or its owner
// closed it.
type fence struct {
	dir    string
	failed func(dir string, err error) // Events.Failed; may be nil
	reason atomic.Pointer[error]
	closed bool // belongs to the holder of the turn
}

// err is why the log is fenced, nil if it is not. For any goroutine.
func (f *fence) err() error {
	if p := f.reason.Load(); p != nil {
		return *p
	}
	return nil
}

// fail fences the log: what the disk did not take must not be offered again as
// if nothing had happened. The first reason stays.
func (f *fence) fail(op string, err error) error {
	fenced := fmt.Errorf("%w: %s: %w", ErrIO, op, err)
	if f.reason.CompareAndSwap(nil, &fenced) && f.failed != nil {
		f.failed(f.dir, fenced)
	}
	return fenced
}

// ioError says what a failed operation that lost nothing means: a full disk or
// a want of descriptors passes, all else fences.
func (f *fence) ioError(op string, err error) error {
	if vfs.IsNoSpace(err) {
		return fmt.Errorf("%w: %s: %w", ErrNoSpace, op, err)
	}
	return f.openError(op, err)
}

// openError is ioError where a full disk has no business.
func (f *fence) openError(op string, err error) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("%w: %s: %w", errResources, op, err)
	}
	return f.fail(op, err)
}

// usable tells why the log takes no changes, nil if it does.
func (f *fence) usable() error {
	if f.closed {
		return ErrClosed
	}
	return f.err()
}
