// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/binary"
	"errors"

	"github.com/samsa-broker/samsa/engine/segment"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// Flush brings to disk what was written before it was taken: segments, index
// tails, snapshots, the epoch file, new directory entries. Its picture is taken
// in the turn (Log.Flush), the dear part (Run) may go on beside appends, and
// Log.FlushDone takes it back in the turn.
type Flush struct {
	log        *Log
	end        Offset
	producers  []byte
	segments   []*segment.Flush
	owners     []*segment.Segment
	snaps      []vfs.File
	epochs     []epochEntry
	epochFile  bool // epochs must be written
	names      bool
	generation int
	err        error // taking the picture failed
}

// Flush takes the picture. Nothing may be staged.
func (l *Log) Flush() *Flush {
	f := &Flush{log: l, end: l.End(), generation: l.gate.generation}
	if f.err = l.fence.usable(); f.err != nil {
		return f
	}
	for _, s := range l.shelf.segments() {
		if !s.Unsynced() {
			continue
		}
		sf, err := s.StartFlush()
		if err != nil {
			f.err = err
			return f
		}
		f.segments = append(f.segments, sf)
		f.owners = append(f.owners, s)
	}
	f.producers = l.history.producers.AppendFull(binary.BigEndian.AppendUint64(nil, uint64(f.end)))
	f.snaps, l.history.unsynced = l.history.unsynced, nil
	f.names, l.folder.dirty = l.folder.dirty, false
	if l.epochs.dirty {
		f.epochs, l.epochs.dirty = *l.epochs.list.Load(), false
		f.epochFile, f.names = true, true
	}
	return f
}

// End is the synced end once FlushDone has taken the flush back.
func (f *Flush) End() Offset { return f.end }

// Producers is End and producer state at it, for Options.Producers.
func (f *Flush) Producers() []byte { return f.producers }

// Run syncs, on any goroutine. What it returns goes to FlushDone.
func (f *Flush) Run() error {
	if f.err != nil {
		return f.err
	}
	l := f.log
	l.gate.Lock()
	defer l.gate.Unlock()
	if f.generation != l.gate.generation { // the log was cut: the picture shows what is gone
		return nil
	}
	for _, s := range f.segments {
		if err := s.Run(); err != nil {
			return err
		}
	}
	for _, s := range f.snaps {
		if err := segment.Sync(s); err != nil {
			return err
		}
	}
	if f.epochFile {
		if err := l.epochs.write(f.epochs); err != nil {
			return err
		}
	}
	if f.names {
		return l.folder.sync()
	}
	return nil
}

// FlushDone takes a flush back, with what Run returned, and says what the
// error means. One of a sync fences the log, be it a full disk: a sync that
// failed once may seem to succeed the next time.
func (l *Log) FlushDone(f *Flush, err error) error {
	ok := err == nil && f.err == nil && f.generation == l.gate.generation
	for i, s := range f.owners {
		s.FlushDone(f.segments[i], ok)
	}
	if ok {
		for _, s := range f.snaps {
			_ = s.Close() // synced
		}
		if int64(f.end) > l.shelf.synced.Load() {
			l.shelf.synced.Store(int64(f.end))
		}
		return nil
	}
	// Everything is still to be done, if the log lives.
	l.history.unsynced = append(f.snaps, l.history.unsynced...)
	l.folder.dirty = l.folder.dirty || f.names
	l.epochs.dirty = l.epochs.dirty || f.epochFile
	if err == nil {
		return nil
	}
	switch {
	case l.fence.usable() != nil:
		return err
	case errors.Is(err, segment.ErrSync):
		return l.fence.fail("sync", err)
	}
	return l.fence.ioError("flush", err)
}

// Sync flushes and waits for it.
func (l *Log) Sync() error {
	f := l.Flush()
	return l.FlushDone(f, f.Run())
}

// Close ends the log. With clean it leaves the files as a clean stop of Kafka
// does: synced, indexes exactly as long as their entries, a snapshot of
// producer state at the log end. Spans stay usable. Nothing may be staged.
func (l *Log) Close(clean bool) error {
	if l.fence.closed {
		return nil
	}
	var err error
	if clean {
		err = settle(l)
	}
	l.gate.Lock()
	l.gate.generation++
	l.gate.Unlock()
	l.fence.closed = true
	for _, s := range l.shelf.segments() {
		s.Close()
	}
	for _, f := range l.history.unsynced {
		_ = f.Close() // settled, or not wanted
	}
	l.history.unsynced = nil
	return err
}

// settle leaves nothing to do for who opens the log next.
func settle(l *Log) error {
	if err := l.fence.usable(); err != nil {
		return err
	}
	if err := l.shelf.active().Seal(); err != nil {
		return l.fence.ioError("close", err)
	}
	if err := l.history.take(l.End()); err != nil {
		return l.fence.ioError("snapshot at close", err)
	}
	return l.Sync()
}
