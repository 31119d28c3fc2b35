// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/samsa-broker/samsa/engine/journal"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// deletion is a directory to be removed when it is due.
type deletion struct {
	name  string
	dueMs int64
}

func sortFound(found []Found) {
	slices.SortFunc(found, func(a, b Found) int { return strings.Compare(a.Name, b.Name) })
}

// Remove deletes a log: journaled, then renamed to NAME.<hex>-delete; its bytes
// go after file.delete.delay.ms. Spans that are read from it stay valid until
// released. Not on a loop.
func (d *Dir) Remove(l *Log) error {
	if err := d.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.gone || l.removing {
		l.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrRemoved, l.s.name)
	}
	l.removing = true
	l.mu.Unlock()
	if err := recordRemoved(l); err != nil {
		return d.fail(err)
	}
	defer d.checkpoints.Unlock()
	l.flushing.Lock() // no flush is under way, and none comes
	l.mu.Lock()
	l.gone = true
	l.mu.Unlock()
	l.flushing.Unlock()
	d.logs.mu.Lock()
	d.logs.forget(l.s)
	d.logs.mu.Unlock()
	// Kafka's checkpoints go by name: the next log of that name must not find
	// this one's offsets, here or with Kafka.
	err := d.checkpoints.writeOffsets()
	if err != nil && !vfs.IsNoSpace(err) {
		return d.fail(err)
	}
	l.mu.Lock()
	delay := l.Log.Config().DeleteDelayMs
	err = errors.Join(err, l.Log.Close(false))
	l.mu.Unlock()
	if serr := d.upkeep.setAside(l.s.topic, l.s.partition, l.s.name, delay); serr != nil {
		return d.fail(serr)
	}
	l.moved()
	return err
}

// recordRemoved journals a removal behind the last checkpoint, and keeps further
// ones out if it returns nil: a checkpoint that knows the log no more, while
// records of it or its removal stand behind its position, would make damage of
// them, and one that covers the removal before the rename would bring it back.
// The journal may need a checkpoint to go on, so the lock is not held meanwhile.
func recordRemoved(l *Log) error {
	d := l.dir
	for {
		before := d.checkpoints.begun.Load()
		if j := d.journal.Load(); j != nil {
			if err := j.Record(&journal.Entry{Kind: journal.KindRemoved, Log: l.s.id}); err != nil {
				return err
			}
		}
		d.checkpoints.Lock()
		if d.checkpoints.begun.Load() == before {
			return nil
		}
		d.checkpoints.Unlock()
	}
}

// setAside renames a log's directory, durably, and removes it later.
func (u *upkeep) setAside(topic string, partition int32, name string, delayMs int64) error {
	d := u.d
	aside := deleteName(topic, partition)
	if err := d.o.FS.Rename(filepath.Join(d.o.Path, name), filepath.Join(d.o.Path, aside)); err != nil {
		return err
	}
	if err := d.files.sync(d.o.Path); err != nil {
		return err
	}
	u.mu.Lock()
	u.deletions = append(u.deletions, deletion{aside, d.now().UnixMilli() + delayMs})
	u.mu.Unlock()
	return nil
}

// deleteDue removes what was set aside long enough ago.
func (u *upkeep) deleteDue(nowMs int64) {
	d := u.d
	u.mu.Lock()
	var due []string
	u.deletions = slices.DeleteFunc(u.deletions, func(x deletion) bool {
		if x.dueMs > nowMs {
			return false
		}
		due = append(due, x.name)
		return true
	})
	u.mu.Unlock()
	for _, name := range due {
		d.chores.add(func() {
			err := d.o.FS.RemoveAll(filepath.Join(d.o.Path, name))
			if d.events().Removed != nil {
				d.events().Removed(d.o.Path, name, err)
			}
		})
	}
}
