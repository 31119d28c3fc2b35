// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/segment"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// Log is the record log of one partition replica. See the package comment for
// who may call what.
type Log struct {
	dir      string
	fs       vfs.FS
	now      func() time.Time
	events   Events
	expiryMs int64
	env      segment.Env
	foreign  bool

	config atomic.Pointer[Config]
	view   atomic.Pointer[View]
	start  atomic.Int64
	end    atomic.Int64
	synced atomic.Int64
	size   atomic.Int64 // bytes of all segments
	failed atomic.Pointer[error]
	epochs atomic.Pointer[[]epochEntry]
	txns   producer.Txns

	// What follows belongs to the holder of the turn.
	producers   *producer.State
	staged      []*Append
	items       []item
	stagedEnd   Offset
	bufs        [][]byte
	trusted     bool       // the active segment's end was taken from elsewhere and not checked yet
	closed      bool       //
	snapshots   []Offset   // of the .snapshot files, ascending
	newSnaps    []vfs.File // written, not synced
	epochsDirty bool       // the epoch file is behind
	namesDirty  bool       // directory entries are not synced
	doomed      []doomed   // .deleted files

	// flushing is held by Flush.Run and by what must not run beside it;
	// generation tells a flush that the log was cut under it.
	flushing   sync.Mutex
	generation int
}

// Descriptors limits how many segment files all logs that share it keep open.
type Descriptors = segment.Descriptors

// NewDescriptors returns a limit for Options.
func NewDescriptors(limit int) *Descriptors { return segment.NewDescriptors(limit) }

// Start is the log start offset. For any goroutine, as are the next methods.
func (l *Log) Start() Offset { return Offset(l.start.Load()) }

// End is the log end offset: that of the next record.
func (l *Log) End() Offset { return Offset(l.end.Load()) }

// SyncedEnd is the end of what was fdatasynced: the recovery point.
func (l *Log) SyncedEnd() Offset { return Offset(l.synced.Load()) }

// Size is the bytes of all segments.
func (l *Log) Size() int64 { return l.size.Load() }

// Dir is the log's directory.
func (l *Log) Dir() string { return l.dir }

// Config is the settings in force.
func (l *Log) Config() *Config { return l.config.Load() }

// Err is why the log is fenced, nil if it is not.
func (l *Log) Err() error {
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Foreign tells whether Open found the active index preallocated: a Kafka
// broker had the log open since we last did, and did not stop cleanly.
func (l *Log) Foreign() bool { return l.foreign }

// LastStable is the end of what a reader of committed records may see when the
// high watermark is hw. For any goroutine.
func (l *Log) LastStable(hw Offset) Offset {
	return max(Offset(l.txns.LastStable(int64(hw))), min(l.Start(), hw))
}

// SetConfig replaces the settings.
func (l *Log) SetConfig(c *Config) {
	l.config.Store(c)
	l.env.Interval.Store(c.IndexIntervalBytes)
}

// Producers gives copies of what is known of idempotent producers, sorted by id.
func (l *Log) Producers() []producer.Entry { return l.producers.Entries() }

// CloseIdle closes descriptors that were not used since the last call. For any
// goroutine.
func (l *Log) CloseIdle() {
	for _, s := range l.view.Load().segs {
		s.CloseIdle()
	}
}

func nowMs(l *Log) int64 { return l.now().UnixMilli() }

// active is the segment that takes appends.
func active(l *Log) *segment.Segment {
	segs := l.view.Load().segs
	return segs[len(segs)-1]
}

func setSegments(l *Log, segs []*segment.Segment) {
	size := int64(0)
	for _, s := range segs {
		size += s.Size()
	}
	l.view.Store(&View{log: l, segs: segs})
	l.size.Store(size)
}

// fail fences the log: what the disk did not take must not be offered again as
// if nothing had happened. The first reason stays.
func fail(l *Log, op string, err error) error {
	fenced := fmt.Errorf("%w: %s: %w", ErrIO, op, err)
	if l.failed.CompareAndSwap(nil, &fenced) && l.events.Failed != nil {
		l.events.Failed(l.dir, fenced)
	}
	return fenced
}

// ioError says what a failed operation that lost nothing means: a full disk or
// a want of descriptors passes, all else fences.
func ioError(l *Log, op string, err error) error {
	if vfs.IsNoSpace(err) {
		return fmt.Errorf("%w: %s: %w", ErrNoSpace, op, err)
	}
	return openError(l, op, err)
}

// openError is ioError where a full disk has no business.
func openError(l *Log, op string, err error) error {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("%w: %s: %w", errResources, op, err)
	}
	return fail(l, op, err)
}

// usable tells why the log takes no changes, nil if it does.
func usable(l *Log) error {
	if l.closed {
		return ErrClosed
	}
	return l.Err()
}
