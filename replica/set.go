// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine/dir"
)

// Options are what a Set is made of.
type Options struct {
	Broker meta.BrokerID
	Dirs   []*dir.Dir // log.dirs, opened
	Homes  []Home     // the event loops; partitions are spread over them for what nobody's loop does
	// Pool runs file work on a bounded number of goroutines. It must not block the caller.
	Pool func(func())
	Now  func() time.Time
	// RetentionCheck is log.retention.check.interval.ms, 0 for Kafka's 5 minutes.
	RetentionCheck time.Duration
	// FirstRetention is log.initial.task.delay.ms: how long after NewSet retention
	// looks for the first time, 0 for at once.
	FirstRetention time.Duration
	// ProducerCheck is producer.id.expiration.check.interval.ms, 0 for Kafka's 10 minutes.
	ProducerCheck time.Duration
	Events        *Events
}

// Set is the broker's collection of partition replicas. Its methods may be
// called from any goroutine unless they say otherwise.
type Set struct {
	o     Options
	table table

	mu      sync.Mutex // orders changes of membership; never held over file work
	known   map[meta.Partition]located
	homes   int   // the next home to give out
	logs    []int // in each directory, those being made included
	closed  bool
	doubles []error // logs that stand in two directories

	changing keyLock // one Lead or Stop of a partition at a time

	// When each is due, Unix ms, and what the last Tick went through. Tick's.
	nextExpire, nextProducers, nextIdle atomic.Int64
	ticked                              []*Partition
}

// located is a log that a directory holds and no Lead has claimed.
type located struct {
	place int // of the directory in Options.Dirs
	source
}

// Lookup finds a partition by topic name; nil when this broker has no replica
// of it. It takes no lock and does not allocate.
func (s *Set) Lookup(topic []byte, index int32) *Partition {
	return s.table.byName(topic).at(index)
}

// LookupID finds a partition by topic id, likewise.
func (s *Set) LookupID(id meta.TopicID, index int32) *Partition {
	return s.table.byID(id).at(index)
}

// Partitions gives all partitions, by topic and index.
func (s *Set) Partitions() []*Partition {
	all := s.table.all(nil)
	slices.SortFunc(all, func(a, b *Partition) int { return comparePartitions(a.id, b.id) })
	return all
}

// shards is how many ways the tables are split: a change copies one shard.
const shards = 256

// table finds topics without locks: each shard is an immutable map, replaced as a whole.
type table struct {
	seed  maphash.Seed
	names [shards]atomic.Pointer[map[string]*topic]
	ids   [shards]atomic.Pointer[map[meta.TopicID]*topic]
}

// topic is this broker's partitions of one topic, immutable; parts[i] is
// partition i or nil.
type topic struct {
	name  string
	id    meta.TopicID
	parts []*Partition
}

func (t *topic) at(index int32) *Partition {
	if t == nil || index < 0 || int(index) >= len(t.parts) {
		return nil
	}
	return t.parts[index]
}

func (t *table) byName(name []byte) *topic {
	m := t.names[maphash.Bytes(t.seed, name)%shards].Load()
	if m == nil {
		return nil
	}
	return (*m)[string(name)]
}

func (t *table) byID(id meta.TopicID) *topic {
	m := t.ids[id[0]].Load()
	if m == nil {
		return nil
	}
	return (*m)[id]
}

// all appends every partition to dst, in no order.
func (t *table) all(dst []*Partition) []*Partition {
	for i := range t.names {
		if m := t.names[i].Load(); m != nil {
			for _, topic := range *m {
				for _, p := range topic.parts {
					if p != nil {
						dst = append(dst, p)
					}
				}
			}
		}
	}
	return dst
}

// put replaces one partition of a topic; nil removes it. The caller holds Set.mu.
func (t *table) put(id meta.Partition, tid meta.TopicID, p *Partition) {
	old := t.byName([]byte(id.Topic))
	next := &topic{name: id.Topic, id: tid}
	if old != nil {
		next.parts = slices.Clone(old.parts)
		if old.id != tid {
			t.setID(old.id, nil)
		}
	}
	for len(next.parts) <= int(id.Index) {
		next.parts = append(next.parts, nil)
	}
	next.parts[id.Index] = p
	for len(next.parts) > 0 && next.parts[len(next.parts)-1] == nil {
		next.parts = next.parts[:len(next.parts)-1]
	}
	if len(next.parts) == 0 {
		next = nil
	}
	t.setName(id.Topic, next)
	t.setID(tid, next)
}

func (t *table) setName(name string, to *topic) {
	replace(&t.names[maphash.String(t.seed, name)%shards], name, to)
}

func (t *table) setID(id meta.TopicID, to *topic) {
	if !id.IsZero() {
		replace(&t.ids[id[0]], id, to)
	}
}

// replace publishes a copy of a shard's map with one key changed.
func replace[K comparable](at *atomic.Pointer[map[K]*topic], key K, to *topic) {
	next := map[K]*topic{}
	if m := at.Load(); m != nil {
		for k, v := range *m {
			next[k] = v
		}
	}
	if to == nil {
		delete(next, key)
	} else {
		next[key] = to
	}
	at.Store(&next)
}

func comparePartitions(a, b meta.Partition) int {
	if a.Topic != b.Topic {
		if a.Topic < b.Topic {
			return -1
		}
		return 1
	}
	return int(a.Index) - int(b.Index)
}

// keyLock locks partitions by name.
type keyLock struct {
	mu   sync.Mutex
	free sync.Cond
	held map[meta.Partition]bool
}

func (k *keyLock) lock(id meta.Partition) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held == nil {
		k.held = map[meta.Partition]bool{}
		k.free.L = &k.mu
	}
	for k.held[id] {
		k.free.Wait()
	}
	k.held[id] = true
}

func (k *keyLock) unlock(id meta.Partition) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, id)
	k.free.Broadcast()
}
