// SPDX-License-Identifier: Apache-2.0

// Package segment keeps one segment of a record log: the .log file with its
// batches, the two sparse indexes beside it, and the index of aborted
// transactions. All are Apache Kafka's files.
//
// A Segment knows where batches stand, not what they mean: sequences,
// transactions and leader epochs are the caller's.
//
// # Indexes
//
//	.index      u32 offset - base, u32 position            8 bytes an entry
//	.timeindex  i64 timestamp, u32 offset - base          12
//	.txnindex   i16 0, i64 producer, i64 first offset,    34
//	            i64 last offset, i64 last stable offset
//
// An offset index entry names a batch by its last offset; one is made for the
// batch that starts more than index.interval.bytes after the batch of the last
// entry. The time index gets, at the same moments and once more when the
// segment is closed, the largest timestamp so far with the last offset of the
// batch that had it, if it is larger than the last one written.
//
// Entries first stand in a tail in memory. Files are never mapped and never
// longer than their entries; until the next flush they may be shorter. They
// are only read when a segment is first used, and are made anew from the .log
// when they do not fit it.
//
// # Ownership
//
// Append, Seal, TruncateTo, the flush methods and what else changes a segment
// belong to one goroutine at a time. The reading methods are for any. A file
// is reached through Pin, whose count cannot rise from zero: who holds a pin
// may use the descriptor until Unpin, whatever happens to the segment.
package segment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// Failures of this package.
var (
	// ErrGone says that the segment was deleted or replaced: look up the
	// offset again in a newer list of segments.
	ErrGone = errors.New("segment: gone")
	// ErrCorrupt says that bytes of the .log are not a batch where one should be.
	ErrCorrupt = errors.New("segment: corrupt batch")
	// ErrSync says that bytes which were written may be lost: a sync failed.
	ErrSync = errors.New("segment: sync failed")
)

// Suffixes of Kafka's file names.
const (
	LogSuffix       = ".log"
	IndexSuffix     = ".index"
	TimeIndexSuffix = ".timeindex"
	TxnIndexSuffix  = ".txnindex"
	SnapshotSuffix  = ".snapshot"
	DeletedSuffix   = ".deleted"
	CleanedSuffix   = ".cleaned"
	SwapSuffix      = ".swap"
)

// FileSuffixes are the files of one segment, in the order in which they go
// when a segment goes: the .log last, so that no index outlives it unnoticed.
var fileSuffixes = [...]string{TxnIndexSuffix, TimeIndexSuffix, IndexSuffix, LogSuffix}

// Name is the file name for an offset and a suffix.
func Name(offset int64, suffix string) string {
	digits := strconv.FormatInt(offset, 10)
	return "00000000000000000000"[min(len(digits), 20):] + digits + suffix
}

// ParseName takes a file name apart: its offset and everything from the first
// dot on. ok is false for names that do not start with an offset.
func ParseName(name string) (offset int64, suffix string, ok bool) {
	digits, rest, found := strings.Cut(name, ".")
	if !found || digits == "" {
		return 0, "", false
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, "", false
		}
	}
	offset, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, "", false
	}
	return offset, "." + rest, true
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// Sync syncs a file and marks its failure as ErrSync.
func Sync(f vfs.File) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrSync, err)
	}
	return nil
}
