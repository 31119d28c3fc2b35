// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine/journal"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// checkpoints says what segments hold durably. One is written at a time; the
// lock is held over I/O, and by what must not run beside one.
type checkpoints struct {
	sync.Mutex
	d     *Dir
	slots *journal.Slots
	mark  journal.Mark // the one of a clean stop
	begun atomic.Int64 // so far
}

// now makes one and waits for it.
func (k *checkpoints) now() error {
	k.Lock()
	defer k.Unlock()
	return k.write()
}

// write makes durable in segments what only the journal covers, says so,
// and gives the journal's files back. A full disk is no reason to fence, any
// other error is. Under the lock.
func (k *checkpoints) write() error {
	d := k.d
	if err := d.Err(); err != nil {
		return err
	}
	began := d.now()
	full, err := k.try()
	if d.events().Checkpoint != nil {
		d.events().Checkpoint(d.o.Path, d.now().Sub(began), err)
	}
	if err != nil && !full {
		return d.fail(err)
	}
	return err
}

// try is write without the verdict; full: it may succeed later.
func (k *checkpoints) try() (full bool, err error) {
	d := k.d
	c := &journal.Checkpoint{Journal: d.id, Store: d.o.StoreID, Mark: k.mark, GroupSequence: 1, GroupMax: journal.FirstGroup}
	if d.last != nil && c.Store == [16]byte{} {
		c.Store = d.last.Store
	}
	c.StoreVersion = storeVersion(d)
	if d.last != nil {
		c.StoreVersion = max(c.StoreVersion, d.last.StoreVersion)
	}
	k.begun.Add(1)
	j := d.journal.Load()
	if d.id != (journal.ID{}) {
		c.FileBytes = d.fileBytes
	}
	if j != nil {
		// First where the journal stands, then the logs: what a group before
		// this position holds was written to its segment before it was placed.
		c.Position, c.GroupSequence, c.GroupMax = j.Durable()
		c.Zeroed = j.Zeroed()
	} else if d.last != nil && d.last.FileBytes == d.fileBytes {
		c.Zeroed = d.last.Zeroed
	}
	d.logs.mu.Lock()
	c.NextCreation = d.logs.nextCreation
	all := d.logs.sorted()
	d.logs.mu.Unlock()
	for _, s := range all {
		one, err := k.one(s)
		if errors.Is(err, ErrRemoved) {
			continue
		}
		if err != nil {
			return d.Err() == nil, err // not fenced: no space for an index, say
		}
		c.Logs = append(c.Logs, one)
	}
	if full, err := k.slots.Write(c); err != nil {
		return full, fmt.Errorf("checkpoint: %w", err)
	}
	d.logs.note(c)
	if j != nil {
		j.Release(c.Position)
	}
	if err := k.writeOffsets(); err != nil {
		return vfs.IsNoSpace(err), err
	}
	return false, nil
}

// one syncs one log and says how far.
func (k *checkpoints) one(s *state) (journal.LogState, error) {
	d := k.d
	d.logs.mu.Lock()
	l, one := s.log, journal.LogState{ID: s.id, Name: s.name, Synced: s.synced, Start: s.start, Producers: s.producers}
	skip := s.removed || s.name == ""
	d.logs.mu.Unlock()
	if skip {
		return one, ErrRemoved
	}
	if l == nil {
		return one, nil
	}
	if int64(l.End()) != one.Synced || !l.flushed {
		end, producers, err := l.flush()
		if err != nil {
			return one, err
		}
		one.Synced, one.Producers, l.flushed = end, producers, true
	}
	starting := l.starting.Load() // before the start: a cut that ends in between shows there
	one.Start = max(int64(l.Start()), starting)
	if l.cut >= 0 && l.cut < one.Synced {
		one.Synced, one.Producers = l.cut, nil
	}
	return one, nil
}

// writeOffsets writes Kafka's checkpoints of what the last one of ours says.
func (k *checkpoints) writeOffsets() error {
	points, starts := k.d.logs.offsets()
	if err := k.d.files.writeText(recoveryPointName, formatOffsets(points)); err != nil {
		return err
	}
	return k.d.files.writeText(logStartName, formatOffsets(starts))
}
