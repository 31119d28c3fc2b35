// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/journal"
)

// Log is one replica's log in this directory: engine.Log and its place in the
// journal. It is closed by its Dir, never by itself.
type Log struct {
	*engine.Log
	// OnDurable is set once, before the first append. It is called from any
	// goroutine after DurableEnd moved or the directory was fenced, and must
	// not block.
	OnDurable func()

	dir      *Dir
	s        *state
	tail     journal.Tail
	starting atomic.Int64 // where TrimTo is about to cut, which the journal knows already; 0: nowhere
	touched  bool         // another broker has had it; see Dir.touched
	replaced bool         // until replay: it ends at S, and the journal holds the rest
	// Until replay: producer state ends at recalled, where S was before entries
	// of synced ranges raised it. nil: it did not rise.
	recall   *engine.Recollection
	recalled int64

	// mu keeps checkpoints out of the turn. The background holds it to take a
	// picture, never over I/O, so a loop does not park on it for long.
	mu       sync.Mutex
	gone     bool             // removed or closed
	removing bool             // Remove is under way
	held     bool             // by the turn, from its first Stage to its Write; the turn's alone
	staged   []*engine.Append // of this turn, kept for its memory

	expirable engine.Offset // retention was announced up to here; the turn's alone

	flushing   sync.Mutex   // one flush at a time; held over I/O, never taken by a turn on a loop
	flushDue   bool         // durability Kafka: flush.messages asks for one; the turn's alone
	flushAsked atomic.Bool  // one was given to the chores
	firstMs    atomic.Int64 // when the oldest append above the synced end was written; 0: there is none

	synced  atomic.Int64 // S of the last durable checkpoint; Expire stays below it
	flushed bool         // by a checkpoint; under Dir.checkpoints
	cut     int64        // a truncation on its way to this offset, -1: none; under Dir.checkpoints
}

// ID is the topic id of partition.metadata; zero if there is none.
func (l *Log) ID() [16]byte {
	l.dir.logs.mu.Lock()
	defer l.dir.logs.mu.Unlock()
	return l.s.topicID
}

// Name is the name of the log's directory.
func (l *Log) Name() string { return l.s.name }

// Home is the directory the log stands in.
func (l *Log) Home() *Dir { return l.dir }

// DurableEnd is the offset below which everything survives a power cut. Any
// goroutine may ask.
func (l *Log) DurableEnd() engine.Offset { return engine.Offset(l.tail.Durable()) }

func (l *Log) moved() {
	if l.OnDurable != nil {
		l.OnDurable()
	}
}

// SetID gives a log that came without partition.metadata its topic id, durably.
// Not on a loop.
func (l *Log) SetID(id [16]byte) error {
	if err := l.dir.files.writeMetadata(l.s.name, id); err != nil {
		return l.dir.fail(err)
	}
	l.dir.logs.mu.Lock()
	l.s.topicID = id
	l.dir.logs.mu.Unlock()
	return nil
}

// Stage is engine.Log.Stage, refused while the directory is fenced. What was
// staged must be written in the same turn: no checkpoint can begin meanwhile.
func (l *Log) Stage(a *engine.Append) error {
	if !l.held {
		if err := l.dir.Err(); err != nil {
			a.Err = err
			return err
		}
		l.mu.Lock()
		l.held = true
	}
	err := l.Log.Stage(a)
	if err != nil && len(l.Log.Staged()) == 0 {
		l.held = false
		l.mu.Unlock()
	}
	return err
}

// Write places what is staged in the segment and in the journal's open group.
// It fails with ErrFenced, engine.ErrNoSpace or engine.ErrIO; appends that were
// not placed carry their own Err.
func (l *Log) Write() (n int, err error) {
	d := l.dir
	if !l.held {
		l.mu.Lock()
	}
	l.staged = append(l.staged[:0], l.Log.Staged()...)
	end := int64(l.Log.End())
	began := d.now()
	view := l.Log.View()
	n, err = l.Log.Write()
	now := d.now()
	took := now.Sub(began)
	if n > 0 {
		l.firstMs.CompareAndSwap(0, now.UnixMilli())
	}
	if l.Log.View() != view { // it began a segment: no measure of an append, and not on a loop
		took = 0
	}
	j := d.journal.Load()
	for i, a := range l.staged {
		l.staged[i] = nil
		if a.Err == nil && !a.Duplicate && j != nil {
			end = l.place(j, a.Batches, end)
		}
	}
	l.held = false
	l.mu.Unlock()
	full := errors.Is(err, engine.ErrNoSpace)
	if (took > 0 || full) && d.pace.took(took, full) && d.events().Slow != nil {
		d.events().Slow(d.o.Path, d.Slow())
	}
	if errors.Is(err, engine.ErrIO) {
		return n, d.fail(err)
	}
	if j != nil {
		j.Kick()
	}
	written(l, j != nil)
	if ferr := d.Err(); err == nil && ferr != nil {
		err = ferr
	}
	return n, err
}

// place copies the batches of one append that begins at log end offset end.
func (l *Log) place(j *journal.Journal, b []byte, end int64) int64 {
	for len(b) > 0 {
		one, rest, err := batch.Next(b)
		if err != nil {
			panic("BUG: dir: the engine wrote what is no batch: " + err.Error())
		}
		j.Place(&l.tail, one, end)
		end, b = one.LastOffset()+1, rest
	}
	return end
}

// Prepare is engine.Prepare: the files that the next Stage and Write need
// are opened and read. Not on a loop.
func (l *Log) Prepare() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.judge(engine.Prepare(l.Log))
}

// Roll begins a new segment.
func (l *Log) Roll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.judge(l.Log.Roll())
}

// BeginEpoch is engine.Log.BeginEpoch: durable before it returns.
func (l *Log) BeginEpoch(e engine.Epoch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.judge(l.Log.BeginEpoch(e))
}

// AssignEpoch is engine.Log.AssignEpoch: durable with the next flush.
func (l *Log) AssignEpoch(e engine.Epoch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Log.AssignEpoch(e)
}

// SetConfig is engine.Log.SetConfig.
func (l *Log) SetConfig(c *engine.Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Log.SetConfig(c)
}

// Expire is engine.Log.Expire, kept to what the last checkpoint covers; when
// more may be due a checkpoint is asked for and the next call takes it. It
// waits for the journal: not on a loop.
//
// The journal hears of it before, so that replay knows whom to blame for
// segments that are gone, and after, so that half of them do not come back.
func (l *Log) Expire(now time.Time, hw engine.Offset) (removed int, err error) {
	j := l.dir.journal.Load()
	if j != nil {
		if s := engine.Offset(l.synced.Load()); s < hw {
			hw = s
			l.dir.upkeep.want()
		}
	}
	if j != nil && hw > l.Start() && hw > l.expirable {
		if err := j.Record(&journal.Entry{Kind: journal.KindExpire, Log: l.s.id, Base: int64(hw)}); err != nil {
			return 0, l.dir.fail(err)
		}
		l.expirable = hw
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	removed, err = l.Log.Expire(now, hw)
	if removed > 0 && j != nil {
		j.PlaceRecord(&l.tail, &journal.Entry{Kind: journal.KindStart, Log: l.s.id, Base: int64(l.Start())})
		j.Kick()
	}
	return removed, l.judge(err)
}

// ExpireProducers is engine.ExpireProducers.
func (l *Log) ExpireProducers(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	engine.ExpireProducers(l.Log, now)
}

// Reap is engine.Log.Reap: it removes what Expire renamed long enough ago.
func (l *Log) Reap(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.judge(l.Log.Reap(now))
}

// judge fences the directory when the disk failed.
func (l *Log) judge(err error) error {
	if errors.Is(err, engine.ErrIO) {
		return l.dir.fail(err)
	}
	return err
}

// Sync makes everything written durable in the segments. Not on a loop.
func (l *Log) Sync() error {
	_, _, err := l.flush()
	return err
}

func (l *Log) syncPlaced() error {
	_, _, err := l.flush()
	switch {
	case errors.Is(err, ErrRemoved):
		return nil // nobody will ask for its records
	case err != nil && l.dir.Err() == nil: // no space for an index, no descriptor
		return fmt.Errorf("%w: %w", journal.ErrLater, err)
	}
	return err
}

// flush makes durable in segments what was written before the call. It moves
// the durable end.
func (l *Log) flush() (end int64, producers []byte, err error) {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	for {
		l.mu.Lock()
		if l.gone {
			l.mu.Unlock()
			return 0, nil, fmt.Errorf("%w: %s", ErrRemoved, l.s.name)
		}
		f := l.Log.Flush()
		l.firstMs.Store(0)
		l.mu.Unlock()
		err = f.Run()
		l.mu.Lock()
		err = l.Log.FlushDone(f, err)
		reached := l.Log.SyncedEnd() >= f.End()
		l.mu.Unlock()
		if err != nil { // of a sync, ENOSPC too, it is ErrIO: what an fdatasync lost stays lost
			return 0, nil, l.judge(err)
		}
		if reached {
			return int64(f.End()), f.Producers(), nil
		}
		// The log was cut under the flush, which then synced nothing.
	}
}
