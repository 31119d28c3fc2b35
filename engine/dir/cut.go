// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"fmt"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/journal"
)

// TruncateTo removes the records from end on; a batch that holds end goes whole.
// It waits for the journal: not on a loop.
//
// A truncation is not journaled: replay redoes what the log did, entry by
// entry, and ends where it ended or, without a later append, where the next
// leader will truncate it again. But what replay takes for granted, everything
// below S, must not be cut behind its back, so S is lowered first.
func (l *Log) TruncateTo(end engine.Offset) error {
	if l.removed() {
		return fmt.Errorf("%w: %s", ErrRemoved, l.s.name)
	}
	end, err := engine.CutPoint(l.Log, end)
	if err != nil {
		return err
	}
	return l.cutAt(int64(end), func() error {
		l.mu.Lock()
		err := l.Log.TruncateTo(end)
		if err == nil {
			l.tail.Cut(int64(end))
		}
		l.mu.Unlock()
		if err != nil {
			return l.judge(err)
		}
		return l.settleCut()
	})
}

// settleCut makes a truncation durable before anything is appended behind it:
// what was cut off must not stand in one segment after a power cut while a
// newer one begins below it.
func (l *Log) settleCut() error {
	if _, _, err := l.flush(); err != nil {
		return err
	}
	if err := l.dir.files.sync(l.Log.Dir()); err != nil {
		return l.dir.fail(err)
	}
	return nil
}

// Reset empties the log and begins at start. It waits for the journal: not on
// a loop.
func (l *Log) Reset(start engine.Offset) error {
	err := l.cutAt(min(int64(start), l.synced.Load()), func() error {
		if j := l.dir.journal.Load(); j != nil {
			if err := j.Record(&journal.Entry{Kind: journal.KindReset, Log: l.s.id, Base: int64(start)}); err != nil {
				return l.dir.fail(err)
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := l.Log.Reset(start); err != nil {
			return l.judge(err)
		}
		l.tail.Begin(int64(start))
		return nil
	})
	if err != nil {
		return err
	}
	// Replay would empty the log again: leave the record behind.
	return l.dir.checkpoints.now()
}

// cutAt runs cut, which leaves nothing of the log above end that was there
// before, while no checkpoint can claim otherwise.
func (l *Log) cutAt(end int64, cut func() error) error {
	d := l.dir
	if err := d.usable(); err != nil {
		return err
	}
	if j := d.journal.Load(); j != nil {
		j.Kick()
		if err := j.Wait(&l.tail); err != nil {
			return d.fail(err)
		}
	}
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	if l.removed() {
		return fmt.Errorf("%w: %s", ErrRemoved, l.s.name)
	}
	if end < max(l.synced.Load(), int64(l.SyncedEnd())) {
		l.cut = end
		defer func() { l.cut = -1 }()
		if err := d.checkpoints.write(); err != nil {
			return err
		}
	}
	return cut()
}

func (l *Log) removed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// TrimTo moves the log start offset up, durably. It waits for the journal: not
// on a loop.
func (l *Log) TrimTo(start engine.Offset) error {
	d := l.dir
	if err := d.usable(); err != nil {
		return err
	}
	if start <= l.Start() || start > l.End() {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.judge(l.Log.TrimTo(start)) // it knows what to answer
	}
	if l.synced.Load() < int64(start) { // what is removed lies below S
		if err := d.checkpoints.now(); err != nil {
			return err
		}
	}
	l.starting.Store(int64(start)) // a checkpoint that lets go of the entry below knows it
	defer l.starting.Store(0)
	if j := d.journal.Load(); j != nil {
		if err := j.Record(&journal.Entry{Kind: journal.KindStart, Log: l.s.id, Base: int64(start)}); err != nil {
			return d.fail(err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.judge(l.Log.TrimTo(start))
}
