// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"

	"github.com/samsa-broker/samsa/engine/journal"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// wantCheckpoint asks the background for a checkpoint. It never blocks.
func (d *Dir) wantCheckpoint() {
	select {
	case d.due <- struct{}{}:
	default: // one is asked for already
	}
}

// checkpointNow makes one and waits for it.
func (d *Dir) checkpointNow() error {
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	return d.checkpoint()
}

// checkpoint makes durable in segments what only the journal covers, says so,
// and gives the journal's files back. A full disk is no reason to fence, any
// other error is. Under d.checkpoints.
func (d *Dir) checkpoint() error {
	if err := d.Err(); err != nil {
		return err
	}
	began := d.now()
	full, err := tryCheckpoint(d)
	if d.events().Checkpoint != nil {
		d.events().Checkpoint(d.o.Path, d.now().Sub(began), err)
	}
	if err != nil && !full {
		return d.fail(err)
	}
	return err
}

// tryCheckpoint is checkpoint without the verdict; full: it may succeed later.
func tryCheckpoint(d *Dir) (full bool, err error) {
	c := &journal.Checkpoint{Journal: d.id, Store: d.o.StoreID, Mark: d.mark, GroupSequence: 1}
	if d.last != nil && c.Store == [16]byte{} {
		c.Store = d.last.Store
	}
	j := d.journal.Load()
	if d.id != (journal.ID{}) {
		c.FileBytes = d.fileBytes
	}
	if j != nil {
		// First where the journal stands, then the logs: what a group before
		// this position holds was written to its segment before it was placed.
		c.Position, c.GroupSequence = j.Durable()
		c.Zeroed = j.Zeroed()
	} else if d.last != nil && d.last.FileBytes == d.fileBytes {
		c.Zeroed = d.last.Zeroed
	}
	d.mu.Lock()
	c.NextCreation = d.nextCreation
	all := sortedStates(d)
	d.mu.Unlock()
	for _, s := range all {
		one, err := checkpointLog(d, s)
		if errors.Is(err, ErrRemoved) {
			continue
		}
		if err != nil {
			return d.Err() == nil, err // not fenced: no space for an index, say
		}
		c.Logs = append(c.Logs, one)
	}
	if full, err := d.slots.Write(c); err != nil {
		return full, fmt.Errorf("checkpoint: %w", err)
	}
	noteCheckpoint(d, c)
	if j != nil {
		j.Release(c.Position)
	}
	if err := writeOffsets(d); err != nil {
		return vfs.IsNoSpace(err), err
	}
	return false, nil
}

// checkpointLog syncs one log and says how far.
func checkpointLog(d *Dir, s *state) (journal.LogState, error) {
	d.mu.Lock()
	l, one := s.log, journal.LogState{ID: s.id, Name: s.name, Synced: s.synced, Start: s.start, Producers: s.producers}
	skip := s.removed || s.name == ""
	d.mu.Unlock()
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
	one.Start = int64(l.Start())
	if l.cut >= 0 && l.cut < one.Synced {
		one.Synced, one.Producers = l.cut, nil
	}
	return one, nil
}

// noteCheckpoint remembers what is durable now.
func noteCheckpoint(d *Dir, c *journal.Checkpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range c.Logs {
		one := &c.Logs[i]
		s := d.states[one.ID.Creation]
		if s == nil {
			continue
		}
		s.synced, s.start, s.producers = one.Synced, one.Start, one.Producers
		if s.log != nil {
			s.log.synced.Store(one.Synced)
		}
	}
}

// writeOffsets writes Kafka's checkpoints of what the last one of ours says.
func writeOffsets(d *Dir) error {
	points, starts := map[Partition]int64{}, map[Partition]int64{}
	d.mu.Lock()
	for _, s := range d.states {
		if s.removed || s.name == "" || !s.there {
			continue
		}
		points[s.place()] = s.synced
		if s.start > 0 {
			starts[s.place()] = s.start
		}
	}
	d.mu.Unlock()
	if err := writeText(d, recoveryPointName, formatOffsets(points)); err != nil {
		return err
	}
	return writeText(d, logStartName, formatOffsets(starts))
}

// writeHighWatermarks writes what the source says, if there is one.
func writeHighWatermarks(d *Dir) error {
	d.mu.Lock()
	source := d.source
	d.mu.Unlock()
	if source == nil || d.Err() != nil {
		return nil
	}
	err := writeText(d, replicationName, formatOffsets(source()))
	if err != nil && !vfs.IsNoSpace(err) {
		return d.fail(err)
	}
	return err
}
