// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/engine/journal"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// Found is one log that stands in the directory.
type Found struct {
	Topic         string
	Partition     int32
	ID            [16]byte // topic id of partition.metadata; zero: none
	Name          string   // of its directory
	NeedsRecovery bool     // it must be loaded before Replay
	// Known says that this directory's journal or checkpoint names the log: if
	// the metadata store does not, its deletion was cut short.
	Known bool
}

// Partition names a replica in Kafka's offset checkpoints.
type Partition struct {
	Topic string
	Index int32
}

// Dir is one log directory, locked for this process.
type Dir struct {
	o         Options
	lock      io.Closer
	clusterID string
	clean     bool // the last stop was clean
	foreign   bool // by another broker's word
	accept    bool // go on past damage
	lost      bool // it was never opened
	found     []Found
	last      *journal.Checkpoint // found at Open; nil: none
	surveyed  surveyed            // what the journal holds, until Start

	recoveryPoints, logStarts, highWatermarks map[Partition]int64 // as found at Open

	files       folder
	logs        table
	checkpoints checkpoints
	upkeep      upkeep
	id          journal.ID // of the journal in use; zero: none
	fileBytes   int64

	journal  atomic.Pointer[journal.Journal] // nil before Start, and without one
	replayed atomic.Bool
	started  atomic.Bool
	out      Started // until Start has told it
	closed   atomic.Bool
	fence    atomic.Pointer[fenced]
	pace     pace
	clients  share
	internal share

	writer *worker // drains turns while the disk is slow
	chores *worker // deletions, flushes
	wg     sync.WaitGroup
}

type fenced struct{ err error }

// Open locks the directory, checks whose it is and reads what its last user
// left: meta.properties, checkpoints, marks, the journal's names. No log is
// opened. It fails with ErrLocked, ErrMeta, ErrStore or ErrDamaged.
func Open(o Options) (*Dir, error) { return open(o, false) }

func open(o Options, accept bool) (*Dir, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Dir{o: o, accept: accept}
	d.files = folder{fs: o.FS, path: o.Path, events: d.events()}
	d.logs.states, d.logs.byName, d.logs.nextCreation = map[uint64]*state{}, map[string]*state{}, 1
	d.checkpoints.d = d
	d.upkeep.d, d.upkeep.due, d.upkeep.stop = d, make(chan struct{}, 1), make(chan struct{})
	lock, err := o.FS.Lock(filepath.Join(o.Path, lockName))
	if err != nil {
		var held *vfs.LockedError
		if errors.As(err, &held) {
			err = fmt.Errorf("%w: %w", ErrLocked, err)
		}
		return nil, err
	}
	d.lock = lock
	if err := (&surveyor{d: d}).read(); err != nil {
		_ = lock.Close() // the first error says it
		return nil, err
	}
	d.writer, d.chores = newWorker(), newWorker()
	if d.events().Opened != nil {
		d.events().Opened(o.Path, Opening{Clean: d.clean, Foreign: d.foreign, Logs: len(d.found)})
	}
	return d, nil
}

// Lost stands for a directory that cannot be opened, for the reason why: it is
// fenced from the beginning, seems empty, and Replay, Start and Close do nothing
// to it.
func Lost(o Options, why error) *Dir {
	d := &Dir{o: o, lost: true}
	d.files = folder{fs: o.FS, path: o.Path, events: d.events()}
	d.logs.states, d.logs.byName = map[uint64]*state{}, map[string]*state{}
	d.checkpoints.d, d.upkeep.d = d, d
	d.fence.Store(&fenced{fmt.Errorf("%w: %s: %w", ErrFenced, o.Path, why)})
	d.writer, d.chores = newWorker(), newWorker()
	return d
}

// IsLost tells whether Lost made d.
func IsLost(d *Dir) bool { return d.lost }

// Found lists the logs in the directory, sorted by name. Those being deleted,
// copied or set aside by Kafka (-delete, -future, -stray) are not among them.
func (d *Dir) Found() []Found { return append([]Found(nil), d.found...) }

// SetHighWatermarks gives the source of replication-offset-checkpoint, asked
// every 5 s and at Close. Only the partitions it names are written.
func (d *Dir) SetHighWatermarks(source func() map[Partition]int64) {
	d.upkeep.mu.Lock()
	d.upkeep.source = source
	d.upkeep.mu.Unlock()
}

// HighWatermark is what replication-offset-checkpoint said at Open.
func (d *Dir) HighWatermark(topic string, partition int32) (int64, bool) {
	hw, ok := d.highWatermarks[Partition{Topic: topic, Index: partition}]
	return hw, ok
}

// ClusterID is what meta.properties says.
func (d *Dir) ClusterID() string { return d.clusterID }

// Path is the directory's name as it was opened.
func (d *Dir) Path() string { return d.o.Path }

// Clean tells whether the last stop was clean, by whichever broker.
func (d *Dir) Clean() bool { return d.clean }

// Usage is the free and total space of the file system, in bytes.
func (d *Dir) Usage() (free, total int64, err error) { return d.o.FS.Usage(d.o.Path) }

func (d *Dir) now() time.Time { return d.o.Now() }

// Err is why the directory is fenced, nil if it is not.
func (d *Dir) Err() error {
	if f := d.fence.Load(); f != nil {
		return f.err
	}
	return nil
}

// fail fences the directory: the first reason counts. Every log's waiters are
// told, so that they ask.
func (d *Dir) fail(err error) error {
	err = fmt.Errorf("%w: %s: %w", ErrFenced, d.o.Path, err)
	if !d.fence.CompareAndSwap(nil, &fenced{err}) {
		return d.Err()
	}
	if d.events().Fenced != nil {
		d.events().Fenced(d.o.Path, err)
	}
	for _, l := range d.logs.loaded() {
		l.moved()
	}
	return err
}

// drop remembers and names records that are not brought back.
func (d *Dir) drop(drop Drop) {
	d.events().dropped(d.o.Path, drop)
}

// state is one log the directory knows of, loaded or not. Its fields are
// guarded by table.mu, except where said.
type state struct {
	id        journal.LogID // its name in journal and checkpoint, for ever
	topicID   [16]byte      // of partition.metadata; may be learnt later
	topic     string
	partition int32
	name      string // of its directory
	there     bool   // the directory was there at Open, or was made since
	removed   bool   // the journal removed it
	known     bool   // by the journal or checkpoint found at Open
	log       *Log   // nil: not loaded

	// As of the last durable checkpoint; written under Dir.checkpoints too.
	synced    int64
	start     int64
	producers []byte

	// expirable is how far retention was announced in the journal.
	expirable int64
	// acked is the end of what the journal found at Open acknowledged.
	acked int64
	// trail is what that journal holds of the log.
	trail trail
}

func (s *state) place() Partition { return Partition{Topic: s.topic, Index: s.partition} }

// table is the logs the directory knows of.
type table struct {
	mu           sync.Mutex // guards the table and its states; never held over I/O
	states       map[uint64]*state
	byName       map[string]*state
	nextCreation uint64
}

// enter puts a log into the table under the number of its creation.
func (t *table) enter(s *state) {
	t.states[s.id.Creation] = s
	t.nextCreation = max(t.nextCreation, s.id.Creation+1)
	if !s.removed {
		t.byName[s.name] = s
	}
}

// create puts in a log that the journal does not know yet.
func (t *table) create(topic string, partition int32, topicID [16]byte) *state {
	s := &state{
		id:      journal.LogID{Topic: topicID, Creation: t.nextCreation, Partition: partition},
		topicID: topicID, topic: topic, partition: partition, name: logName(topic, partition),
	}
	t.enter(s)
	return s
}

// forget takes a log out.
func (t *table) forget(s *state) {
	delete(t.states, s.id.Creation)
	if t.byName[s.name] == s {
		delete(t.byName, s.name)
	}
}

// sorted lists the table by creation, so that checkpoints repeat.
func (t *table) sorted() []*state {
	out := make([]*state, 0, len(t.states))
	for _, s := range t.states {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *state) int { return cmp.Compare(a.id.Creation, b.id.Creation) })
	return out
}

// loaded lists the logs that are open.
func (t *table) loaded() []*Log {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*Log
	for _, s := range t.sorted() {
		if s.log != nil {
			out = append(out, s.log)
		}
	}
	return out
}

// prune drops what the journal knows and the directory does not hold: logs
// that are removed, or whose creation did not come to a directory.
func (t *table) prune() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sorted() {
		if s.removed || s.name == "" || !s.there {
			t.forget(s)
		}
	}
}

// allLoaded tells whether every log that was found after an unclean stop was
// opened, and so recovered.
func (t *table) allLoaded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.states {
		if s.there && !s.removed && s.name != "" && s.log == nil {
			return false
		}
	}
	return true
}

// anyDirty tells whether any log has bytes above S.
func (t *table) anyDirty() bool {
	for _, l := range t.loaded() {
		if int64(l.End()) != l.synced.Load() {
			return true
		}
	}
	return false
}

// close closes the logs that are open.
func (t *table) close(clean bool) (err error) {
	for _, l := range t.loaded() {
		err = errors.Join(err, l.close(clean))
	}
	return err
}

// note remembers what a checkpoint made durable.
func (t *table) note(c *journal.Checkpoint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range c.Logs {
		one := &c.Logs[i]
		s := t.states[one.ID.Creation]
		if s == nil {
			continue
		}
		s.synced, s.start, s.producers = one.Synced, one.Start, one.Producers
		if s.log != nil {
			s.log.synced.Store(one.Synced)
		}
	}
}

// offsets gives what the last checkpoint says of each log: how far its segments
// are synced, and where it starts if not at 0.
func (t *table) offsets() (points, starts map[Partition]int64) {
	points, starts = map[Partition]int64{}, map[Partition]int64{}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.states {
		if s.removed || s.name == "" || !s.there {
			continue
		}
		points[s.place()] = s.synced
		if s.start > 0 {
			starts[s.place()] = s.start
		}
	}
	return points, starts
}
