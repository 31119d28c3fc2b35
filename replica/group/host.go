// SPDX-License-Identifier: Apache-2.0

package group

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/replica"
)

// HostOptions are what a Host is made of.
type HostOptions struct {
	Options
	// Partitions is how many partitions the internal topic has now, 0 while it does not exist.
	Partitions func() int32
	// Set reads the logs that are loaded.
	Set *replica.Set
	// Pool runs a function on one of a bounded number of goroutines, without blocking the caller.
	Pool func(func())
	Now  func() time.Time
}

// Host keeps the groups of one broker: a Machine for every partition of
// __consumer_offsets that the broker leads. Its methods may be called by any
// goroutine.
type Host struct {
	o      HostOptions
	mu     sync.RWMutex
	shards map[int32]*shard
}

// NewHost makes a Host that coordinates nothing yet.
func NewHost(o HostOptions) *Host { return &Host{o: o, shards: map[int32]*shard{}} }

// Lead takes over the groups of a partition that this broker now leads; they
// are served once its log has been read. Leading again in a newer epoch
// changes nothing, and neither does nil: the partition has gone again already.
func (h *Host) Lead(p *replica.Partition) {
	if p == nil {
		return
	}
	index := p.ID().Index
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.shards[index]; old != nil {
		if old.p == p {
			return
		}
		old.leave()
	}
	s := newShard(h, p)
	h.shards[index] = s
	h.o.Pool(s.load.Run)
}

// Resign gives up a partition: whoever waits for one of its groups is told to
// look for another coordinator.
func (h *Host) Resign(index int32) {
	h.mu.Lock()
	s := h.shards[index]
	delete(h.shards, index)
	h.mu.Unlock()
	if s != nil {
		s.leave()
	}
}

// TopicsDeleted drops the offsets of topics that are gone.
func (h *Host) TopicsDeleted(topics []string) {
	for _, s := range h.all() {
		s.enter(TopicsDeleted{Topics: topics}, cleanReserve)
	}
}

// Tick lets time pass for the groups, now in Unix milliseconds. Call it about
// every 100 ms; it costs a turn only where something is due.
func (h *Host) Tick(now int64) {
	for _, s := range h.all() {
		s.tick(now)
	}
}

// PartitionFor is the partition of __consumer_offsets that keeps the group, or
// -1 while that topic does not exist.
func (h *Host) PartitionFor(group string) int32 {
	n := h.o.Partitions()
	if n <= 0 {
		return -1
	}
	return PartitionFor(group, n)
}

// Ask brings a request to its group; done runs once on home with the answer, of
// the type the request names. A group that this broker does not coordinate is
// refused with ErrNotCoordinator, one still being loaded with ErrLoadInProgress.
func (h *Host) Ask(r Request, home replica.Home, done func(Answer)) {
	q := &question{request: r, home: home, done: done}
	if list, ok := r.(*List); ok {
		h.askAll(list, q)
		return
	}
	if s := h.shard(h.PartitionFor(r.GroupID())); s != nil {
		s.ask(q)
		return
	}
	q.answer(r.refused(ErrNotCoordinator))
}

// Loading is whether the groups of some partition are still being read.
func (h *Host) Loading() bool {
	return slices.ContainsFunc(h.all(), func(s *shard) bool { return !s.served.Load() })
}

func (h *Host) shard(index int32) *shard {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.shards[index]
}

func (h *Host) all() []*shard {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := make([]*shard, 0, len(h.shards))
	for _, s := range h.shards {
		all = append(all, s)
	}
	return all
}

// askAll puts a List to every partition and answers when all have.
func (h *Host) askAll(r *List, q *question) {
	shards := h.all()
	g := &gathering{q: q, left: len(shards), all: &ListAnswer{}}
	if g.left == 0 {
		q.answer(g.all)
		return
	}
	for _, s := range shards {
		s.ask(&question{request: r, home: g, done: g.add})
	}
}

// gathering joins the answers of several partitions. It is a Home that runs
// what it is given at once, in the partition's turn.
type gathering struct {
	q    *question
	mu   sync.Mutex
	left int
	all  *ListAnswer
}

// Post runs t.
func (g *gathering) Post(t replica.Task) { t.Run() }

func (g *gathering) add(a Answer) {
	g.mu.Lock()
	part := a.(*ListAnswer)
	g.all.Groups = append(g.all.Groups, part.Groups...)
	if errors.Is(part.Err, ErrLoadInProgress) { // a partition that was given up meanwhile is none of ours
		g.all.Err = part.Err
	}
	g.left--
	last := g.left == 0
	g.mu.Unlock()
	if last {
		slices.SortFunc(g.all.Groups, func(a, b ListedGroup) int {
			if a.Group < b.Group {
				return -1
			}
			return 1
		})
		g.q.answer(g.all)
	}
}

// question is a request on its way to its machine, and the answer's way back.
type question struct {
	entry   replica.Entry
	request Request
	home    replica.Home
	done    func(Answer)
	result  Answer
}

func (q *question) answer(a Answer) {
	q.result = a
	q.home.Post(q)
}

// Run is called on the home of the one who asked.
func (q *question) Run() { q.done(q.result) }

// writeError says in this package's words why an append failed.
func writeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, engine.ErrTooLarge), errors.Is(err, batch.ErrTooLarge):
		return ErrCommitTooLarge
	case errors.Is(err, replica.ErrNotEnoughReplicas), errors.Is(err, replica.ErrUnknownPartition), errors.Is(err, replica.ErrTimedOut):
		return ErrCoordinatorNotAvailable
	case errors.Is(err, replica.ErrNotLeader), errors.Is(err, replica.ErrDeleted), errors.Is(err, replica.ErrClosed), errors.Is(err, replica.ErrStorage):
		return ErrNotCoordinator
	default:
		return ErrWriteFailed
	}
}
