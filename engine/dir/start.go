// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/samsa-broker/samsa/engine/journal"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// Replay replays the journal into the loaded logs, which are all that need
// recovery. After a clean stop there is nothing to replay, and logs may be
// loaded later. It fails with ErrDamaged when an acknowledged record cannot be
// brought back.
//
// What it does is done again by the next start if Start does not follow: the
// directory still speaks of its last user. So whoever has to learn from what
// lies here, and to write it down elsewhere, does it between the two.
func (d *Dir) Replay(logs []*Log) error {
	if d.lost {
		return nil
	}
	if d.replayed.Swap(true) {
		return fmt.Errorf("dir: the journal of %s was replayed already", d.o.Path)
	}
	for _, l := range logs {
		if l.dir != d {
			panic("BUG: dir: Replay with a log of another directory")
		}
	}
	began := d.now()
	if !d.clean && d.last != nil && d.last.FileBytes > 0 {
		if err := replayJournal(d, &d.out); err != nil {
			return refuse(d, "replay of the journal", err)
		}
	}
	d.out.Took = d.now().Sub(began)
	return nil
}

// Start syncs what Replay brought back and opens a new journal; then appends
// may begin. From here on the directory names its logs and the metadata store
// as its own: a log that the store does not know counts as one whose deletion
// was cut short.
//
// Nothing is replayed across two starts: the new journal has a new id, and the
// checkpoint that names it says that the segments hold everything.
func (d *Dir) Start() error {
	if d.lost {
		return nil
	}
	began := d.now()
	if !d.replayed.Load() || d.started.Load() {
		return fmt.Errorf("dir: %s was not replayed, or started already", d.o.Path)
	}
	if err := beginLife(d, &d.out); err != nil {
		return refuse(d, "first checkpoint", err)
	}
	d.started.Store(true)
	d.wg.Go(d.upkeep.run)
	d.out.Took += d.now().Sub(began)
	if d.events().Started != nil {
		d.events().Started(d.o.Path, d.out)
	}
	return nil
}

// refuse says why a directory does not start. Nothing is lost by it: the journal
// stays as it was until a checkpoint covers it.
func refuse(d *Dir, step string, err error) error {
	switch {
	case errors.Is(err, ErrDamaged) || errors.Is(err, ErrFenced): // they name the directory
		return err
	case vfs.IsNoSpace(err):
		return fmt.Errorf("dir: start of %s: %s: make room and start again, nothing is lost: %w", d.o.Path, step, err)
	}
	return fmt.Errorf("dir: start of %s: %s: %w", d.o.Path, step, err)
}

// beginLife writes the checkpoint that ends the old journal, removes the mark
// and opens the new journal, in this order.
func beginLife(d *Dir, out *Started) (err error) {
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	last := uint64(0)
	if d.last != nil {
		last = d.last.Sequence
	}
	if d.checkpoints.slots, err = journal.OpenSlots(d.o.FS, d.o.Path, last); err != nil {
		return err
	}
	if d.o.Durability == Journal {
		_, _ = rand.Read(d.id[:]) // never fails
	}
	d.logs.prune()
	for range 2 { // both slots speak of this life, so that rot in one cannot bring back the last
		if err := d.checkpoints.write(); err != nil {
			return err
		}
	}
	if err := d.files.clearMark(); err != nil {
		return err
	}
	if d.o.Durability != Journal {
		for _, l := range d.logs.loaded() {
			l.tail.Begin(int64(l.End()))
		}
		return nil
	}
	if err := journal.Prepare(d.o.FS, d.o.Path, d.fileBytes); err != nil {
		return err
	}
	o := journal.Options{
		FS: d.o.FS, Dir: d.o.Path, Writer: d.o.Writer, ID: d.id, FileBytes: d.fileBytes,
		Events: journal.Events{
			Sealed: d.upkeep.want,
			Broken: func(err error) { _ = d.fail(err) },
			Full: func(err error) {
				if d.events().Full != nil {
					d.events().Full(d.o.Path, err)
				}
			},
		},
	}
	if d.last != nil && d.last.FileBytes == d.fileBytes {
		o.Zeroed = d.last.Zeroed
	}
	j, err := journal.Open(o)
	if err != nil {
		return err
	}
	for _, l := range d.logs.loaded() {
		l.tail.Begin(int64(l.End()))
	}
	d.journal.Store(j)
	out.JournalBytes = d.fileBytes
	out.Direct, out.WhyNot = j.Direct()
	return nil
}
