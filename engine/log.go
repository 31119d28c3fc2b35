// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/segment"
)

// Log is the record log of one partition replica. See the package comment for
// who may call what.
type Log struct {
	now     func() time.Time
	events  Events
	config  atomic.Pointer[Config]
	foreign bool

	folder  folder  // its directory
	fence   fence   // whether it may be used
	shelf   shelf   // its segments and its ends
	epochs  epochs  // its leader epochs
	history history // its producers
	staging staging // what the next Write writes
	gate    gate    // between flushes and cuts
}

// Descriptors limits how many segment files all logs that share it keep open.
type Descriptors = segment.Descriptors

// NewDescriptors returns a limit for Options.
func NewDescriptors(limit int) *Descriptors { return segment.NewDescriptors(limit) }

// Start is the log start offset. For any goroutine, as are the next methods.
func (l *Log) Start() Offset { return Offset(l.shelf.start.Load()) }

// End is the log end offset: that of the next record.
func (l *Log) End() Offset { return Offset(l.shelf.end.Load()) }

// SyncedEnd is the end of what was fdatasynced: the recovery point.
func (l *Log) SyncedEnd() Offset { return Offset(l.shelf.synced.Load()) }

// Size is the bytes of all segments.
func (l *Log) Size() int64 { return l.shelf.size.Load() }

// Dir is the log's directory.
func (l *Log) Dir() string { return l.folder.dir }

// Config is the settings in force.
func (l *Log) Config() *Config { return l.config.Load() }

// Err is why the log is fenced, nil if it is not.
func (l *Log) Err() error { return l.fence.err() }

// Foreign tells whether Open found the active index preallocated: a Kafka
// broker had the log open since we last did, and did not stop cleanly.
func (l *Log) Foreign() bool { return l.foreign }

// LastStable is the end of what a reader of committed records may see when the
// high watermark is hw. For any goroutine.
func (l *Log) LastStable(hw Offset) Offset {
	return max(Offset(l.history.txns.LastStable(int64(hw))), min(l.Start(), hw))
}

// SetConfig replaces the settings.
func (l *Log) SetConfig(c *Config) {
	l.config.Store(c)
	l.shelf.env.Interval.Store(c.IndexIntervalBytes)
}

// Producers gives copies of what is known of idempotent producers, sorted by id.
func (l *Log) Producers() []producer.Entry { return l.history.producers.Entries() }

// CloseIdle closes descriptors that were not used since the last call. For any
// goroutine.
func (l *Log) CloseIdle() {
	for _, s := range l.shelf.segments() {
		s.CloseIdle()
	}
}

// Roll begins a new segment at the log end. Nothing may be staged. An empty
// active segment stays.
func (l *Log) Roll() error {
	if err := l.shelf.ready(); err != nil {
		return err
	}
	if l.shelf.active().Size() == 0 && l.shelf.active().Base() == int64(l.End()) {
		return nil
	}
	return l.shelf.roll(l.End(), &l.history)
}
