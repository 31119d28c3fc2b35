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
	NeedsRecovery bool     // it must be loaded before Start
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
	found     []Found
	last      *journal.Checkpoint // found at Open; nil: none
	damage    []Drop              // what replay could not bring back

	recoveryPoints, logStarts, highWatermarks map[Partition]int64 // as found at Open

	mu           sync.Mutex // the table, deletions; never held over I/O
	states       map[uint64]*state
	byName       map[string]*state
	nextCreation uint64
	deletions    []deletion
	source       func() map[Partition]int64 // of high watermarks

	checkpoints sync.Mutex // one checkpoint at a time; held over I/O
	slots       *journal.Slots
	id          journal.ID // of the journal in use; zero: none
	fileBytes   int64
	mark        journal.Mark

	journal  atomic.Pointer[journal.Journal] // nil before Start, and without one
	started  atomic.Bool
	fence    atomic.Pointer[fenced]
	pace     pace
	clients  share
	internal share

	writer *worker // drains turns while the disk is slow
	chores *worker // deletions, flushes
	due    chan struct{}
	stop   chan struct{}
	closed bool // under mu
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
	d := &Dir{
		o: o, accept: accept, states: map[uint64]*state{}, byName: map[string]*state{}, nextCreation: 1,
		due: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	lock, err := o.FS.Lock(filepath.Join(o.Path, lockName))
	if err != nil {
		var held *vfs.LockedError
		if errors.As(err, &held) {
			err = fmt.Errorf("%w: %w", ErrLocked, err)
		}
		return nil, err
	}
	d.lock = lock
	if err := readDir(d); err != nil {
		_ = lock.Close() // the first error says it
		return nil, err
	}
	d.writer, d.chores = newWorker(), newWorker()
	if d.events().Opened != nil {
		d.events().Opened(o.Path, Opening{Clean: d.clean, Foreign: d.foreign, Logs: len(d.found)})
	}
	return d, nil
}

// readDir is Open under the lock.
func readDir(d *Dir) error {
	var err error
	if err = checkMeta(d); err != nil {
		return err
	}
	if d.fileBytes, err = d.o.journalBytes(); err != nil {
		return err
	}
	budget := d.o.BudgetBytes
	if budget == 0 {
		budget = min(budgetMax, d.fileBytes/4)
	}
	d.clients.budget, d.internal.budget = budget, max(1, budget/internalShare)
	if err := readCheckpoints(d); err != nil {
		return err
	}
	if err := survey(d); err != nil { // the journal's names
		return err
	}
	return listLogs(d)
}

// readCheckpoints reads the mark, the journal's checkpoint and Kafka's.
func readCheckpoints(d *Dir) error {
	c, why, err := journal.ReadCheckpoint(d.o.FS, d.o.Path)
	if err != nil {
		return err
	}
	mark, found, err := readMark(d, markName)
	if err != nil {
		return err
	}
	d.last, d.clean = c, found
	d.foreign = found && (c == nil || c.Mark != mark)
	none := [16]byte{}
	if c != nil && c.Store != none && d.o.StoreID != none && c.Store != d.o.StoreID {
		return fmt.Errorf("%w: %s was used with store %x, this is %x", ErrStore, d.o.Path, c.Store, d.o.StoreID)
	}
	if c == nil && why != nil && !d.clean {
		if !d.accept {
			return fmt.Errorf("%w: %s: no checkpoint can be read: %w", ErrDamaged, d.o.Path, why)
		}
		d.drop(Drop{Log: "all logs", From: -1, To: -1, Why: "no checkpoint can be read: " + why.Error()})
	} else if why != nil {
		d.events().repaired(d.o.Path, "samsa.checkpoint", why.Error())
	}
	if d.recoveryPoints, err = readOffsets(d, recoveryPointName); err != nil {
		return err
	}
	if d.logStarts, err = readOffsets(d, logStartName); err != nil {
		return err
	}
	d.highWatermarks, err = readOffsets(d, replicationName)
	return err
}

// Found lists the logs in the directory, sorted by name. Those being deleted,
// copied or set aside by Kafka (-delete, -future, -stray) are not among them.
func (d *Dir) Found() []Found { return append([]Found(nil), d.found...) }

// SetHighWatermarks gives the source of replication-offset-checkpoint, asked
// every 5 s and at Close. Only the partitions it names are written.
func (d *Dir) SetHighWatermarks(source func() map[Partition]int64) {
	d.mu.Lock()
	d.source = source
	d.mu.Unlock()
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
	for _, l := range loaded(d) {
		l.moved()
	}
	return err
}

// drop remembers and names records that are not brought back.
func (d *Dir) drop(drop Drop) {
	d.events().dropped(d.o.Path, drop)
}

// state is one log the directory knows of, loaded or not. Its fields are
// guarded by Dir.mu, except where said.
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
}

func (s *state) place() Partition { return Partition{Topic: s.topic, Index: s.partition} }

// addState enters a log in the table under the number of its creation.
func addState(d *Dir, s *state) {
	d.states[s.id.Creation] = s
	d.nextCreation = max(d.nextCreation, s.id.Creation+1)
	if !s.removed {
		d.byName[s.name] = s
	}
}

// newState enters a log that the journal does not know yet.
func newState(d *Dir, topic string, partition int32, topicID [16]byte) *state {
	s := &state{
		id:      journal.LogID{Topic: topicID, Creation: d.nextCreation, Partition: partition},
		topicID: topicID, topic: topic, partition: partition, name: logName(topic, partition),
	}
	addState(d, s)
	return s
}

// dropState forgets a log.
func dropState(d *Dir, s *state) {
	delete(d.states, s.id.Creation)
	if d.byName[s.name] == s {
		delete(d.byName, s.name)
	}
}

// sortedStates lists the table by creation, so that checkpoints repeat.
func sortedStates(d *Dir) []*state {
	out := make([]*state, 0, len(d.states))
	for _, s := range d.states {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *state) int { return cmp.Compare(a.id.Creation, b.id.Creation) })
	return out
}

// loaded lists the logs that are open.
func loaded(d *Dir) []*Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*Log
	for _, s := range sortedStates(d) {
		if s.log != nil {
			out = append(out, s.log)
		}
	}
	return out
}
