// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/binary"
	"errors"
	"fmt"

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
	f := &Flush{log: l, end: l.End(), generation: l.generation}
	if f.err = usable(l); f.err != nil {
		return f
	}
	for _, s := range l.view.Load().segs {
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
	f.producers = l.producers.AppendFull(binary.BigEndian.AppendUint64(nil, uint64(f.end)))
	f.snaps, l.newSnaps = l.newSnaps, nil
	f.names, l.namesDirty = l.namesDirty, false
	if l.epochsDirty {
		f.epochs, l.epochsDirty = *l.epochs.Load(), false
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
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if f.generation != l.generation { // the log was cut: the picture shows what is gone
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
		if err := writeEpochs(l, f.epochs); err != nil {
			return err
		}
	}
	if f.names {
		return syncDir(l)
	}
	return nil
}

func syncDir(l *Log) error {
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("%w: %w", segment.ErrSync, err)
	}
	return nil
}

// FlushDone takes a flush back, with what Run returned, and says what the
// error means. One of a sync fences the log, be it a full disk: a sync that
// failed once may seem to succeed the next time.
func (l *Log) FlushDone(f *Flush, err error) error {
	ok := err == nil && f.err == nil && f.generation == l.generation
	for i, s := range f.owners {
		s.FlushDone(f.segments[i], ok)
	}
	if ok {
		for _, s := range f.snaps {
			_ = s.Close() // synced
		}
		if int64(f.end) > l.synced.Load() {
			l.synced.Store(int64(f.end))
		}
		return nil
	}
	// Everything is still to be done, if the log lives.
	l.newSnaps = append(f.snaps, l.newSnaps...)
	l.namesDirty = l.namesDirty || f.names
	l.epochsDirty = l.epochsDirty || f.epochFile
	if err == nil {
		return nil
	}
	switch {
	case usable(l) != nil:
		return err
	case errors.Is(err, segment.ErrSync):
		return fail(l, "sync", err)
	}
	return ioError(l, "flush", err)
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
	if l.closed {
		return nil
	}
	var err error
	if clean {
		err = settle(l)
	}
	l.flushing.Lock()
	l.generation++
	l.flushing.Unlock()
	l.closed = true
	for _, s := range l.view.Load().segs {
		s.Close()
	}
	for _, f := range l.newSnaps {
		_ = f.Close() // settled, or not wanted
	}
	l.newSnaps = nil
	return err
}

// settle leaves nothing to do for who opens the log next.
func settle(l *Log) error {
	if err := usable(l); err != nil {
		return err
	}
	if err := active(l).Seal(); err != nil {
		return ioError(l, "close", err)
	}
	if err := takeSnapshot(l, l.End()); err != nil {
		return ioError(l, "snapshot at close", err)
	}
	return l.Sync()
}
