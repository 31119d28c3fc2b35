// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"
)

// Close stops the directory's goroutines. Clean: every log is synced and
// closed, the checkpoints are written and the clean-shutdown mark comes last,
// and only if nothing went wrong. Nothing may be appended any more. Not on a
// loop.
func (d *Dir) Close(clean bool) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrClosed, d.o.Path)
	}
	d.closed = true
	d.mu.Unlock()
	close(d.stop)
	d.wg.Wait()
	d.writer.close()
	d.chores.close()
	err := d.Err()
	if clean && err == nil && d.started.Load() {
		err = d.settle()
	} else {
		err = errors.Join(err, d.abandon())
	}
	return errors.Join(err, d.lock.Close())
}

// abandon stops without a promise.
func (d *Dir) abandon() (err error) {
	if j := d.journal.Load(); j != nil {
		err = j.Close()
	}
	for _, l := range d.loaded() {
		err = errors.Join(err, l.close(false))
	}
	return err
}

// settle stops cleanly: the journal is written out, the segments are synced,
// a checkpoint says so, the logs are closed, and then the mark.
func (d *Dir) settle() error {
	if err := d.writeHighWatermarks(); err != nil {
		return errors.Join(err, d.abandon())
	}
	if j := d.journal.Load(); j != nil {
		j.Kick()
		if err := j.Close(); err != nil {
			return errors.Join(err, d.abandonLogs())
		}
	}
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	if err := d.checkpoint(); err != nil {
		return errors.Join(err, d.abandonLogs())
	}
	whole := d.clean || d.allLoaded()
	var err error
	for _, l := range d.loaded() {
		err = errors.Join(err, l.close(true))
	}
	if err != nil || !whole {
		return err // whoever comes next recovers
	}
	if d.mark, err = d.makeMark(); err != nil {
		return err
	}
	if err := d.checkpoint(); err != nil {
		return err
	}
	return d.setMark()
}

func (d *Dir) abandonLogs() (err error) {
	for _, l := range d.loaded() {
		err = errors.Join(err, l.close(false))
	}
	return err
}

// allLoaded tells whether every log that was found after an unclean stop was
// opened, and so recovered.
func (d *Dir) allLoaded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.states {
		if s.there && !s.removed && s.name != "" && s.log == nil {
			return false
		}
	}
	return true
}

// close closes the engine's part. After it the log's last checkpoint counts.
func (l *Log) close(clean bool) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return nil
	}
	l.gone = true
	l.dir.mu.Lock()
	l.s.log = nil
	l.dir.mu.Unlock()
	if err := l.Log.Close(clean); err != nil {
		return fmt.Errorf("dir: close of %s: %w", l.s.name, err)
	}
	return nil
}
