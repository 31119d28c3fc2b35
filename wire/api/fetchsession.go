// SPDX-License-Identifier: Apache-2.0

package api

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
)

// Fetch sessions (KIP-227): the broker remembers which partitions a client
// fetches and what it told it of each, so that a fetch names only what changed
// and so does its answer.

const (
	sessionSlots     = 1000     // max.incremental.fetch.session.cache.slots
	sessionParts     = 1 << 20  // partitions all sessions together may remember
	sessionBytes     = 64 << 20 // what the names of their topics may take
	sessionTopicCost = 256      // of a topic, beside its name
	sessionEvictMs   = 120_000  // a session this long unused, or alive, may make room for another
	sessionFinal     = -1       // session epoch: no session, and an end to the one named
	sessionInitial   = 0        // session epoch: make one
	sessionEpochMax  = 1<<31 - 1
)

// sessions is the cache. Its mutex covers the table and the times and sizes in
// it; a session's own mutex covers its partitions. The first is never taken
// while the second is held.
type sessions struct {
	mu    sync.Mutex
	slots int
	parts int
	bytes int
	byID  map[int32]*session
}

// session is one client's fetch session.
type session struct {
	id            int32
	created, used int64 // ms; the cache's
	held          int   // partitions counted in the cache; the cache's
	heldBytes     int   // likewise what its topics take

	mu     sync.Mutex
	epoch  int32 // the next one expected
	byUUID bool  // topics are named by id
	names  map[string]*sessionTopic
	ids    map[[16]byte]*sessionTopic
	head   *sessionPart // in the order they are read and answered
	tail   *sessionPart
	size   int
	bytes  int // of its topics
}

// sessionTopic is a topic of a session.
type sessionTopic struct {
	name  []byte
	id    [16]byte
	parts map[int32]*sessionPart
}

// sessionPart is a partition of a session: what to fetch, and what the client
// was last told.
type sessionPart struct {
	topic       *sessionTopic
	index       int32
	maxBytes    int32
	offset      int64
	epoch, last int32
	hw, start   int64 // told; -1: nothing, or an error
	prev, next  *sessionPart
}

func (t *sessions) init(slots int) {
	t.slots = slots
	if slots <= 0 {
		t.slots = sessionSlots
	}
	t.byID = map[int32]*session{}
}

// find returns the session id and notes that it is used; nil when there is none.
func (t *sessions) find(id int32, nowMs int64) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s != nil {
		s.used = nowMs
	}
	return s
}

// drop forgets a session.
func (t *sessions) drop(id int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(t.byID[id])
}

func (t *sessions) remove(s *session) {
	if s != nil && t.byID[s.id] == s {
		delete(t.byID, s.id)
		t.parts -= s.held
		t.bytes -= s.heldBytes
	}
}

// create makes a session for size partitions of topics that take bytes; nil when
// there is no room for it, and then the client is served without one.
func (t *sessions) create(size, bytes int, byUUID bool, nowMs int64) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if size > sessionParts || bytes > sessionBytes {
		return nil // whoever left
	}
	for len(t.byID) >= t.slots || t.parts+size > sessionParts || t.bytes+bytes > sessionBytes {
		victim := t.victim(size, nowMs)
		if victim == nil {
			return nil
		}
		t.remove(victim)
	}
	id := rand.Int32N(1<<31-2) + 1
	for t.byID[id] != nil {
		id = rand.Int32N(1<<31-2) + 1
	}
	s := &session{id: id, created: nowMs, used: nowMs, held: size, heldBytes: bytes, epoch: 1, byUUID: byUUID, names: map[string]*sessionTopic{}, ids: map[[16]byte]*sessionTopic{}}
	t.byID[id] = s
	t.parts += size
	t.bytes += bytes
	return s
}

// victim chooses the session that makes room for one of size partitions, as
// Kafka does: the one longest unused if that is long; else, of those that have
// lived for a while, the smallest, if it is smaller than the new one.
func (t *sessions) victim(size int, nowMs int64) *session {
	var stale, small *session
	all := make([]*session, 0, len(t.byID))
	for _, s := range t.byID {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	for _, s := range all {
		if nowMs-s.used > sessionEvictMs && (stale == nil || s.used < stale.used) {
			stale = s
		}
		if s.used-s.created > sessionEvictMs && s.held < size && (small == nil || s.held < small.held) {
			small = s
		}
	}
	if stale != nil {
		return stale
	}
	return small
}

// resize counts the partitions and bytes a session has gained or lost. It is
// false, and the session gone, when the cache has no room for it any more.
func (t *sessions) resize(s *session, size, bytes int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[s.id] != s {
		return false
	}
	t.parts += size - s.held
	t.bytes += bytes - s.heldBytes
	s.held, s.heldBytes = size, bytes
	if t.parts > sessionParts || t.bytes > sessionBytes {
		t.remove(s)
		return false
	}
	return true
}

// find returns a partition of the session; nil when it has none such.
func (s *session) find(name []byte, id [16]byte, index int32) *sessionPart {
	if t := s.topic(name, id); t != nil {
		return t.parts[index]
	}
	return nil
}

func (s *session) topic(name []byte, id [16]byte) *sessionTopic {
	if s.byUUID {
		return s.ids[id]
	}
	return s.names[string(name)]
}

// put returns the partition, adding it at the end when it is new.
func (s *session) put(name []byte, id [16]byte, index int32) *sessionPart {
	t := s.topic(name, id)
	if t == nil {
		t = &sessionTopic{name: slices.Clone(name), id: id, parts: map[int32]*sessionPart{}}
		s.bytes += topicBytes(name)
		if s.byUUID {
			s.ids[id] = t
		} else {
			s.names[string(name)] = t
		}
	}
	p := t.parts[index]
	if p == nil {
		p = &sessionPart{topic: t, index: index, hw: -1, start: -1}
		t.parts[index] = p
		s.push(p)
		s.size++
	}
	return p
}

// forget takes a partition out.
func (s *session) forget(name []byte, id [16]byte, index int32) {
	p := s.find(name, id, index)
	if p == nil {
		return
	}
	s.unlink(p)
	s.size--
	delete(p.topic.parts, index)
	if len(p.topic.parts) == 0 {
		s.bytes -= topicBytes(p.topic.name)
		if s.byUUID {
			delete(s.ids, id)
		} else {
			delete(s.names, string(name))
		}
	}
}

// topicBytes is what a topic of a session takes: its name is kept twice.
func topicBytes(name []byte) int { return sessionTopicCost + 2*len(name) }

func (s *session) push(p *sessionPart) {
	p.prev, p.next = s.tail, nil
	if s.tail == nil {
		s.head = p
	} else {
		s.tail.next = p
	}
	s.tail = p
}

func (s *session) unlink(p *sessionPart) {
	if p.prev == nil {
		s.head = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		s.tail = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}
