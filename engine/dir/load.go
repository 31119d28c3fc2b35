// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/journal"
)

// Load opens a found log, recovering it if the last stop was not clean.
// Different logs may be loaded at once.
func (d *Dir) Load(f Found, c *engine.Config) (*Log, error) {
	d.logs.mu.Lock()
	s := d.logs.byName[f.Name]
	if s == nil || !s.there {
		d.logs.mu.Unlock()
		return nil, fmt.Errorf("dir: %s has no log %s: %w", d.o.Path, f.Name, fs.ErrNotExist)
	}
	if s.log != nil {
		d.logs.mu.Unlock()
		return nil, fmt.Errorf("%w: %s is loaded already", ErrExists, f.Name)
	}
	late := d.replayed.Load()
	d.logs.mu.Unlock()
	if late && !d.clean {
		return nil, fmt.Errorf("dir: %s needs recovery and was not loaded before the journal was replayed", f.Name)
	}
	touched, err := d.files.touched(f.Name, c)
	if err != nil {
		return nil, fmt.Errorf("dir: load of %s: %w", f.Name, err)
	}
	o := d.o.logOptions(c)
	o.Clean = d.clean
	// Kafka's checkpoints go by name, and may still speak of a topic that was
	// deleted and made again; ours do not. Theirs count where Kafka has been.
	d.logs.mu.Lock()
	o.RecoveryPoint, o.LogStart = engine.Offset(s.synced), engine.Offset(s.start)
	if !s.known || touched || d.foreign {
		o.RecoveryPoint = engine.Offset(d.recoveryPoints[s.place()])
		o.LogStart = engine.Offset(max(d.logStarts[s.place()], s.start))
	}
	if int64(o.RecoveryPoint) == s.synced {
		o.Producers = s.producers
	}
	if o.Cut = replaces(d, s, touched); o.Cut {
		if s.synced == 0 && len(o.Producers) == 0 {
			o.Producers = engine.NoProducers(0)
		}
		if above := engine.Offset(s.trail.synced) - o.RecoveryPoint; above > 0 {
			o.RecoveryPoint, o.Recalled = o.RecoveryPoint+above, above
		}
	}
	d.logs.mu.Unlock()
	e, err := engine.Open(filepath.Join(d.o.Path, f.Name), o)
	if err != nil {
		return nil, fmt.Errorf("dir: load of %s: %w", f.Name, err)
	}
	if end := int64(e.End()); d.foreign && end < s.acked {
		d.drop(Drop{Log: s.name, From: end, To: s.acked, Why: "another broker stopped cleanly in this directory without them"})
	}
	if o.Cut {
		d.logs.mu.Lock()
		s.synced, s.producers = int64(o.RecoveryPoint), nil
		d.logs.mu.Unlock()
	}
	l := d.attach(s, e)
	l.touched, l.replaced = touched, o.Cut && e.End() == o.RecoveryPoint
	if l.replaced && o.Recalled > 0 {
		l.recall, l.recalled = engine.Recall(e), int64(o.RecoveryPoint-o.Recalled)
	}
	return l, nil
}

// logOptions is what all logs of the directory share.
func (o *Options) logOptions(c *engine.Config) engine.Options {
	return engine.Options{
		FS: o.FS, Config: c, Now: o.Now, ProducerExpiryMs: o.ProducerExpiryMs,
		Descriptors: o.Descriptors, Events: o.Log,
	}
}

// attach makes an open engine.Log one of this directory's.
func (d *Dir) attach(s *state, e *engine.Log) *Log {
	l := &Log{Log: e, dir: d, s: s, cut: -1}
	l.tail = journal.Tail{Log: s.id, Moved: l.moved, Sync: l.syncPlaced}
	l.tail.Begin(int64(e.End()))
	d.logs.mu.Lock()
	l.synced.Store(s.synced)
	s.log = l
	d.logs.mu.Unlock()
	return l
}

// Create makes a log: journaled, then its directory and partition.metadata,
// durable before it returns. Not on a loop.
func (d *Dir) Create(id [16]byte, topic string, partition int32, c *engine.Config) (*Log, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	name := logName(topic, partition)
	if _, _, ok := parseLogName(name); !ok || len(name) > nameMax || filepath.Base(name) != name {
		return nil, fmt.Errorf("dir: %q cannot be the directory of a log", name)
	}
	d.logs.mu.Lock()
	if d.logs.byName[name] != nil {
		d.logs.mu.Unlock()
		return nil, fmt.Errorf("%w: %s in %s", ErrExists, name, d.o.Path)
	}
	s := d.logs.create(topic, partition, id)
	d.logs.mu.Unlock()
	l, err := d.createLog(s, c)
	if err != nil {
		d.undoCreate(s)
		return nil, err
	}
	return l, nil
}

func (d *Dir) createLog(s *state, c *engine.Config) (*Log, error) {
	path := filepath.Join(d.o.Path, s.name)
	if _, err := d.o.FS.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%w: %s", ErrExists, path)
		}
		return nil, err
	}
	if j := d.journal.Load(); j != nil {
		if err := j.Record(&journal.Entry{Kind: journal.KindCreated, Log: s.id, Last: storeVersion(d), Data: []byte(s.name)}); err != nil {
			return nil, d.fail(err)
		}
	}
	if err := d.o.FS.Mkdir(path); err != nil {
		return nil, err
	}
	d.logs.mu.Lock() // a checkpoint looks meanwhile
	s.there = true
	d.logs.mu.Unlock()
	if s.topicID != [16]byte{} {
		if err := d.files.writeMetadata(s.name, s.topicID); err != nil {
			return nil, err
		}
	} else if err := d.files.sync(d.o.Path); err != nil {
		return nil, err
	}
	o := d.o.logOptions(c)
	o.Clean = true
	e, err := engine.Open(path, o)
	if err != nil {
		return nil, err
	}
	return d.attach(s, e), nil
}

// storeVersion is that of the metadata store as it stands, 0 if it is not known.
func storeVersion(d *Dir) int64 {
	if d.o.StoreVersion == nil {
		return 0
	}
	return d.o.StoreVersion()
}

// undoCreate takes back a creation that failed halfway: it was never told.
func (d *Dir) undoCreate(s *state) {
	if s.there {
		if err := d.upkeep.setAside(s.topic, s.partition, s.name, 0); err != nil {
			_ = d.fail(err) // the caller has its own error
		}
	}
	if j := d.journal.Load(); j != nil && d.Err() == nil {
		if err := j.Record(&journal.Entry{Kind: journal.KindRemoved, Log: s.id}); err != nil {
			_ = d.fail(err)
		}
	}
	d.logs.mu.Lock()
	d.logs.forget(s)
	d.logs.mu.Unlock()
}

// usable tells whether the directory may be changed.
func (d *Dir) usable() error {
	if err := d.Err(); err != nil {
		return err
	}
	if d.closed.Load() || !d.started.Load() {
		return fmt.Errorf("%w: %s", ErrClosed, d.o.Path)
	}
	return nil
}

// trail follows what the journal holds of one log above S. Where it is whole,
// what the segments hold there is given up unread and comes from the journal,
// which was checked when it was surveyed.
//
// It is whole when its first entry was appended at S, so that nothing stood
// above S then, and each later one where the one before ended or, after a
// truncation, below.
type trail struct {
	begun  bool
	broken bool
	end    int64 // of the log, behind the last entry
	synced int64 // the segments hold everything below, by an entry that says so
	cuts   []cut
}

// cut is a truncation, which is seen when something is appended behind it.
type cut struct {
	at  int   // the number of the entry that follows it
	end int64 // to where
}

// follow takes the n-th entry of the journal, which is about records.
func (t *trail) follow(n int, s int64, e *journal.Entry) {
	if covered(e, s) {
		return
	}
	switch {
	case !t.begun:
		t.broken = t.broken || e.End != s
	case e.End > t.end || e.End < max(s, t.synced):
		t.broken = true
	case e.End < t.end:
		t.cuts = append(t.cuts, cut{n, e.End})
	}
	t.begun, t.end = true, e.Last+1
	if e.Kind == journal.KindSynced {
		// Its segment was synced from the beginning on before the group was
		// written, and is not cut below that without a checkpoint.
		t.synced = e.Last + 1
	}
}

// dead tells whether the n-th entry was cut off later.
func (t *trail) dead(n int, e *journal.Entry) bool {
	for _, c := range t.cuts {
		if n < c.at && e.Last >= c.end {
			return true
		}
	}
	return false
}

// covered tells that the segments hold an entry, or something later that
// replaced it: S lies above it, or above the log end it was appended at.
func covered(e *journal.Entry, s int64) bool { return e.Last < s || e.End < s }

// replaces tells whether the journal takes the place of what the segments of a
// log hold above S: nobody but us had the log since. A broker that did, and
// stopped cleanly, left its recovery point; one that did not, a preallocated
// index. A recovery point of ours is never above S, except where S came down just
// before the power went.
func replaces(d *Dir, s *state, touched bool) bool {
	return d.surveyed.kept != nil && len(d.surveyed.Gaps) == 0 && s.known && !touched && s.trail.begun && !s.trail.broken &&
		d.recoveryPoints != nil && d.recoveryPoints[s.place()] <= s.synced
}
