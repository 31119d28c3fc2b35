// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/samsa-broker/samsa/engine"
)

// Close stops the directory's goroutines. Clean: every log is synced and
// closed, the checkpoints are written and the clean-shutdown mark comes last,
// and only if nothing went wrong. Nothing may be appended any more. Not on a
// loop.
func (d *Dir) Close(clean bool) error {
	if !d.closed.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: %s", ErrClosed, d.o.Path)
	}
	if d.lost {
		d.writer.close()
		d.chores.close()
		return nil
	}
	close(d.upkeep.stop)
	d.wg.Wait()
	d.writer.close()
	d.chores.close()
	d.surveyed.kept.Free()
	err := d.Err()
	if clean && err == nil && d.started.Load() {
		err = settle(d)
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
	return errors.Join(err, d.logs.close(false))
}

// settle stops cleanly: the journal is written out, the segments are synced,
// a checkpoint says so, the logs are closed, and then the mark.
func settle(d *Dir) error {
	if err := d.upkeep.highWatermarks(); err != nil {
		return errors.Join(err, d.abandon())
	}
	if j := d.journal.Load(); j != nil {
		j.Kick()
		if err := j.Close(); err != nil {
			return errors.Join(err, d.logs.close(false))
		}
	}
	d.checkpoints.Lock()
	defer d.checkpoints.Unlock()
	if err := d.checkpoints.write(); err != nil {
		return errors.Join(err, d.logs.close(false))
	}
	whole := d.clean || d.logs.allLoaded()
	if err := d.logs.close(true); err != nil || !whole {
		return err // whoever comes next recovers
	}
	mark, err := d.files.makeMark()
	if err != nil {
		return err
	}
	d.checkpoints.mark = mark
	if err := d.checkpoints.write(); err != nil {
		return err
	}
	return d.files.setMark()
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
	l.dir.logs.mu.Lock()
	l.s.log = nil
	l.dir.logs.mu.Unlock()
	if err := l.Log.Close(clean); err != nil {
		return fmt.Errorf("dir: close of %s: %w", l.s.name, err)
	}
	return nil
}

// Recover brings the logs of a directory back without a broker, prints what it
// did to w and leaves the clean-shutdown mark, so that Kafka may take the
// directory after a power cut. With acceptLoss it goes on past damage, naming
// what is lost; without, damage changes nothing and is returned as ErrDamaged.
func Recover(o Options, acceptLoss bool, w io.Writer) error {
	p := &printer{w: w}
	o.Events = p.events(o.Events)
	d, err := open(o, acceptLoss)
	if err != nil {
		return err
	}
	if d.clean {
		p.printf("%s was stopped cleanly: nothing to recover\n", o.Path)
		return errors.Join(p.err, d.Close(false))
	}
	var logs []*Log
	for _, f := range d.Found() {
		l, err := d.Load(f, engine.DefaultConfig())
		if err != nil {
			return errors.Join(err, d.Close(false))
		}
		p.printf("%s: recovered, ends at offset %d\n", f.Name, l.End())
		logs = append(logs, l)
	}
	err = d.Replay(logs)
	if err == nil {
		err = d.Start()
	}
	if err != nil {
		return errors.Join(err, d.Close(false))
	}
	for _, l := range logs {
		p.printf("%s: log start offset %d, log end offset %d\n", l.Name(), l.Start(), l.End())
	}
	if err := d.Close(true); err != nil {
		return err
	}
	p.printf("%s: recovered, stopped cleanly\n", o.Path)
	return p.err
}

// printer writes lines and remembers the first failure.
type printer struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintf(p.w, format, args...); p.err == nil {
		p.err = err
	}
}

// events prints what matters to a person, and passes the rest on.
func (p *printer) events(old *Events) *Events {
	e := Events{}
	if old != nil {
		e = *old
	}
	e.Dropped = func(path string, x Drop) {
		if x.From < 0 {
			p.printf("%s: LOST in %s: %s\n", path, x.Log, x.Why)
			return
		}
		p.printf("%s: LOST in %s: offsets %d to %d: %s\n", path, x.Log, x.From, x.To-1, x.Why)
	}
	e.Repaired = func(path, file, why string) { p.printf("%s: %s is begun anew: %s\n", path, file, why) }
	e.Started = func(path string, s Started) {
		p.printf("%s: journal: %d groups, %d entries, %d bytes read; %d batches appended, %d there already, %d covered, %d cuts\n",
			path, s.Groups, s.Entries, s.BytesRead, s.Appended, s.Kept, s.Skipped, s.Truncated)
	}
	return &e
}
