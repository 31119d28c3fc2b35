// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// Files is how many files a journal recycles.
const Files = 4

// FileName is the name of journal file i.
func FileName(i int) string { return "samsa.journal." + strconv.Itoa(i) }

// Failures of a running journal.
var (
	// ErrBroken means that a write or a sync failed: nothing placed since is
	// durable, or ever will be.
	ErrBroken = errors.New("journal: broken by a disk error")
	// ErrLater is what a Tail's Sync wraps when nothing is lost and it may
	// succeed later: a full disk.
	ErrLater = errors.New("journal: try again later")
	// ErrClosed means that the journal was closed.
	ErrClosed = errors.New("journal: closed")
)

// Options says how to open a journal.
type Options struct {
	FS        vfs.FS
	Dir       string
	Writer    Writer // nil: a goroutine of the journal's own
	ID        ID     // of this life; a checkpoint that names it is durable
	FileBytes int64  // of each file, a multiple of Block
	Zeroed    int64  // bytes of the four files that were written before
	Events    Events
}

// Events are called as things happen, on the goroutine they happen on, which
// may be a loop. Any may be nil.
type Events struct {
	Sealed func()          // a file was filled, or there is no free one: a checkpoint is due
	Broken func(err error) // see ErrBroken
	Full   func(err error) // a write found no space and is tried again
}

// Journal is open for placing entries.
type Journal struct {
	o      Options
	files  files
	writer Writer

	copied int64 // a batch larger than that is not copied
	spare  int64 // of a group's room, for entries that hold no batch
	least  int64 // what a group may always be, and the first one
	most   int64 // what no group may exceed

	groups [2]group
	open   atomic.Pointer[group]
	busy   atomic.Bool // a group is sealed and not yet on disk
	kickFn func()      // kickNow, made once
	asked  atomic.Bool // kickFn was given to the scheduler and has not run

	mu       sync.Mutex // what follows; never held over I/O
	moved    sync.Cond  // a group landed, the journal broke or was closed
	position int64      // where the next group may start
	sequence uint64     // of the next group
	next     int64      // what the next group may be at most, as the last one promised
	released int64      // what lies before may be overwritten
	zero     zeroer
	stalled  *group // sealed, waiting for a checkpoint or the zeroer
	again    *group // sealed, found no space
	stuck    bool   // the group in flight waits for space
	err      error
	closed   bool

	wake chan struct{} // for the background goroutine
	stop chan struct{}
	wg   sync.WaitGroup
}

// Open begins a new life of a journal whose files Prepare made.
func Open(o Options) (*Journal, error) {
	if o.FileBytes < 4*Block || o.FileBytes%Block != 0 {
		return nil, fmt.Errorf("journal: files of %d bytes: want a multiple of %d, four at least", o.FileBytes, Block)
	}
	j := &Journal{o: o, files: files{size: o.FileBytes, align: Block}, sequence: 1, zero: zeroer{done: o.Zeroed}, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	j.moved.L = &j.mu
	j.kickFn = func() { j.asked.Store(false); j.kickNow() }
	if err := j.files.open(o.FS, o.Dir); err != nil {
		return nil, err
	}
	j.copied = min(o.FileBytes/2, maxGroup/2)
	j.spare = min(1<<20, o.FileBytes/4)
	j.most = roundUp(GroupHeaderSize+j.copied+j.spare, j.files.align)
	j.least = min(roundUp(FirstGroup, j.files.align), j.most)
	j.next = j.least
	for i := range j.groups {
		g := &j.groups[i]
		buf, err := mapBuffer(int(j.most))
		if err != nil {
			return nil, fmt.Errorf("journal: no memory for a group: %w", err)
		}
		g.buf, g.index = buf, i
		g.done = func(err error) { j.written(g, err) }
		g.reset(j.least, uint64(i)+1)
	}
	j.open.Store(&j.groups[0])
	j.writer = o.Writer
	if j.writer == nil {
		w := &ownWriter{work: make(chan ownWrite, 1)}
		j.writer = w
		j.wg.Go(func() { w.run(j.stop) })
	}
	j.wg.Go(j.background)
	return j, nil
}

// Direct tells whether O_DIRECT is in use; if not, why.
func (j *Journal) Direct() (bool, error) { return j.files.notDirect == nil, j.files.notDirect }

// Zeroed is how far the files were written at least once, for a checkpoint.
func (j *Journal) Zeroed() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.zero.done
}

// Err is why the journal takes nothing more, nil while it does.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil && j.closed {
		return ErrClosed
	}
	return j.err
}

// Durable is the position behind the last group on disk, the sequence of the
// next one and what that may be at most. Whatever groups before it hold was in
// its segments before.
func (j *Journal) Durable() (position int64, sequence uint64, most int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.position, j.sequence, j.next
}

// Release allows overwriting what lies before position: a durable checkpoint
// does not need it.
func (j *Journal) Release(position int64) {
	j.mu.Lock()
	j.released = max(j.released, position)
	g := j.stalled
	j.stalled = nil
	j.mu.Unlock()
	if g != nil {
		j.submit(g)
	}
}

// Place copies a batch that was appended at log end offset end into the open
// group. A batch larger than half a file, or than the room left, is not
// copied: its segment is synced before the group is written. What follows it in
// the same group needs no copy for that, but is copied where it fits: recovery
// has to know the header of each batch, and what the journal holds of many small
// ones is read quicker. Call Kick when everything of a turn is placed.
func (j *Journal) Place(t *Tail, b batch.Batch, end int64) {
	e := Entry{
		Kind: KindBatch, Log: t.Log, Epoch: b.LeaderEpoch(), Base: b.BaseOffset(), Last: b.LastOffset(),
		End: end, CRC: b.CRC(), Data: b,
	}
	for {
		g := j.open.Load()
		at, full, sealed := 0, int64(e.Size()) > j.copied, false
		if !full {
			at, full, sealed = g.enter(e.Size(), int(j.spare))
		}
		if sealed {
			continue
		}
		if full {
			if int64(e.Size()) <= j.copied {
				g.over.Add(int64(e.Size()))
			}
			j.PlaceSynced(t, end, e.Last+1, e.Epoch)
			return
		}
		j.entered(g, t, &e, at, e.Last+1)
		return
	}
}

// PlaceSynced says that the segments hold from..to, which is to be synced
// before the open group is written.
func (j *Journal) PlaceSynced(t *Tail, from, to int64, epoch int32) {
	if extend(j, t, from, to, epoch) {
		return
	}
	e := Entry{Kind: KindSynced, Log: t.Log, Epoch: epoch, Base: from, Last: to - 1, End: from}
	if g, at := j.enterSmall(&e); g != nil {
		g.linkSync(t, at)
		j.entered(g, t, &e, at, to)
	}
}

// extend lets the synced range that t has in the open group go on to to, so
// that however many batches find no room, there is room to say so.
func extend(j *Journal, t *Tail, from, to int64, epoch int32) bool {
	g := j.open.Load()
	if _, _, sealed := g.enter(0, 0); sealed {
		return false
	}
	m, ok := &t.marks[g.index], false
	if m.syncing {
		e, _, err := DecodeEntry(g.buf[m.syncAt:])
		if ok = err == nil && e.Last+1 == from && e.Epoch == epoch; ok {
			e.Last = to - 1
			e.put(g.buf[m.syncAt:])
			t.placed = to
			g.link(t, to)
		}
	}
	if g.leave() {
		j.ready(g)
	}
	return ok
}

// PlaceRecord puts an entry about a log, not of its records, into the open
// group: it is durable no later than whatever is placed after it.
func (j *Journal) PlaceRecord(t *Tail, e *Entry) {
	if g, at := j.enterSmall(e); g != nil {
		j.entered(g, t, e, at, t.placed)
	}
}

// enterSmall enters the open group for an entry that may use the spare room.
func (j *Journal) enterSmall(e *Entry) (*group, int) {
	for {
		g := j.open.Load()
		at, full, sealed := g.enter(e.Size(), 0)
		if full { // some ten thousand logs at once, and nobody reserved
			j.breakDown(fmt.Errorf("no room in a group for log %x", e.Log.Topic))
			return nil, 0
		}
		if !sealed {
			return g, at
		}
	}
}

// entered fills the place a copier took and ends its stay.
func (j *Journal) entered(g *group, t *Tail, e *Entry, at int, end int64) {
	e.put(g.buf[at:])
	g.count.Add(1)
	t.placed = end
	g.link(t, end)
	if g.leave() {
		j.ready(g)
	}
}

// Kick starts the next write unless one is under way.
func (j *Journal) Kick() {
	if j.busy.Load() {
		return // its completion looks again
	}
	if s, ok := j.writer.(Scheduler); ok {
		if j.asked.CompareAndSwap(false, true) {
			s.Schedule(j.kickFn)
		}
		return
	}
	j.kickNow()
}

func (j *Journal) kickNow() {
	for !j.open.Load().empty() && j.busy.CompareAndSwap(false, true) {
		if j.sealOpen() {
			return
		}
		j.busy.Store(false)
	}
}

// sealOpen takes the open group out of reach and opens the other one, which is
// empty: nothing is in flight. For whoever made the journal busy. False: there
// is nothing to write.
func (j *Journal) sealOpen() bool {
	g := j.open.Load()
	if g.empty() {
		return false
	}
	other := &j.groups[1-g.index]
	g.next = promise(j, g)
	other.reset(g.next, g.life.Load()+1)
	j.open.Store(other)
	if g.seal() {
		j.ready(g)
	}
	return true
}

// promise is what g says that the next group may be at most. Recovery searches
// so far behind the last group, so it follows the load: twice what this one
// holds and what found no room in it, and no less than half of what it might
// have been. For whoever made the journal busy, before the next group is open.
func promise(j *Journal, g *group) int64 {
	room, over := g.room.Load(), g.over.Load()
	want := max(2*int64(g.used()), room/2, j.least)
	if over > 0 {
		want = max(want, 4*room, 2*(room+over))
	}
	return min(roundUp(want, j.files.align), j.most)
}

// Record writes one entry and waits until it is on disk. Not on a loop.
func (j *Journal) Record(e *Entry) error {
	t := &Tail{Log: e.Log}
	t.placed = 1
	j.PlaceRecord(t, e)
	j.Kick()
	return j.Wait(t)
}

// Wait returns when everything t has placed is on disk, or never will be. Not
// on a loop.
func (j *Journal) Wait(t *Tail) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for t.durable.Load() < t.placed {
		if j.err != nil {
			return j.err
		}
		if j.closed {
			return ErrClosed
		}
		j.moved.Wait()
	}
	return nil
}

// Close waits for what was placed, stops the journal's goroutines and closes
// its files. It does not wait for space on a full disk, but returns ErrLater:
// what was in flight is not durable then.
func (j *Journal) Close() error {
	j.kickNow()
	j.mu.Lock()
	for j.err == nil && !j.closed && !j.stuck && (j.busy.Load() || !j.open.Load().empty()) {
		j.moved.Wait()
	}
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	j.closed = true
	err := j.err
	if err == nil && j.stuck {
		err = fmt.Errorf("%w: the disk is full", ErrLater)
	}
	j.moved.Broadcast()
	j.mu.Unlock()
	close(j.stop)
	j.wg.Wait()
	if j.busy.Load() {
		return err // a write may still be in the writer's hands: keep file and memory
	}
	j.files.close()
	if j.zero.buf != nil {
		unmapBuffer(j.zero.buf)
	}
	for i := range j.groups {
		unmapBuffer(j.groups[i].buf)
		j.groups[i].buf = nil
	}
	return err
}
