// SPDX-License-Identifier: Apache-2.0

package meta

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
)

// Endpoint is one address a broker advertises.
type Endpoint struct {
	Listener string // upper case, e.g. PLAINTEXT or INTERNAL
	Host     string // IPv6 without brackets
	Port     int32
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
}

// Broker is one live broker.
type Broker struct {
	ID        BrokerID
	Endpoints []Endpoint
	Rack      string // "" when unset
}

// Endpoint finds the address of a listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	i := slices.IndexFunc(b.Endpoints, func(e Endpoint) bool { return e.Listener == listener })
	if i < 0 {
		return Endpoint{}, false
	}
	return b.Endpoints[i], true
}

// State is who leads one partition and who follows.
type State struct {
	Leader         BrokerID // NoBroker when nobody leads
	LeaderEpoch    int32
	PartitionEpoch int32 // data version of the partition's state znode
	ISR            []BrokerID
	Replicas       []BrokerID
	Offline        []BrokerID
}

// Topic is one topic. Partitions[i] is partition i.
type Topic struct {
	Name       string
	ID         TopicID
	Partitions []State
	Config     map[string]string // only what was set on the topic itself
	Adopted    bool              // found on disk, its settings unknown: delete and compact nothing
	Internal   bool              // __consumer_offsets, __transaction_state
}

// Image is one moment of the cluster. All of it is read-only.
type Image struct {
	ClusterID  string
	Controller BrokerID
	Brokers    []Broker // by id

	byName []*Topic // by name
	byID   []*Topic // by id
}

// NewImage makes an image without topics.
func NewImage(clusterID string, controller BrokerID, brokers []Broker) *Image {
	sorted := slices.Clone(brokers)
	slices.SortFunc(sorted, func(a, b Broker) int { return cmp.Compare(a.ID, b.ID) })
	return &Image{ClusterID: clusterID, Controller: controller, Brokers: sorted}
}

// Topic finds a topic by name; nil when there is none. It does not allocate.
func (m *Image) Topic(name string) *Topic {
	i, ok := slices.BinarySearchFunc(m.byName, name, func(t *Topic, n string) int { return strings.Compare(t.Name, n) })
	if !ok {
		return nil
	}
	return m.byName[i]
}

// TopicByID finds a topic by id; nil when there is none. It does not allocate.
func (m *Image) TopicByID(id TopicID) *Topic {
	i, ok := slices.BinarySearchFunc(m.byID, id, func(t *Topic, id TopicID) int { return bytes.Compare(t.ID[:], id[:]) })
	if !ok {
		return nil
	}
	return m.byID[i]
}

// Topics gives all topics by name. The slice is the image's own: read it only.
func (m *Image) Topics() []*Topic { return m.byName }

// Partition finds the state of a partition; nil when there is none.
func (m *Image) Partition(p Partition) *State {
	t := m.Topic(p.Topic)
	if t == nil || p.Index < 0 || int(p.Index) >= len(t.Partitions) {
		return nil
	}
	return &t.Partitions[p.Index]
}

// Broker finds a live broker; nil when there is none.
func (m *Image) Broker(id BrokerID) *Broker {
	i, ok := slices.BinarySearchFunc(m.Brokers, id, func(b Broker, id BrokerID) int { return cmp.Compare(b.ID, id) })
	if !ok {
		return nil
	}
	return &m.Brokers[i]
}

// With gives a new image in which the named topics are gone and the given ones
// stand, whether they were there before or not. A topic belongs to the image
// from then on. The receiver does not change.
func (m *Image) With(removed []string, changed ...*Topic) *Image {
	gone := make(map[string]bool, len(removed)+len(changed))
	for _, name := range removed {
		gone[name] = true
	}
	added := make([]*Topic, 0, len(changed))
	stands := make(map[string]bool, len(changed))
	for _, t := range slices.Backward(changed) { // the last one of a name wins
		if !stands[t.Name] {
			added = append(added, t)
		}
		stands[t.Name], gone[t.Name] = true, true
	}
	next := *m
	next.byName = merge(m.byName, added, gone, func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
	next.byID = merge(m.byID, added, gone, func(a, b *Topic) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return &next
}

// WithBrokers gives a new image with other brokers and controller.
func (m *Image) WithBrokers(controller BrokerID, brokers []Broker) *Image {
	next := NewImage(m.ClusterID, controller, brokers)
	next.byName, next.byID = m.byName, m.byID
	return next
}

// merge joins the sorted old list, less what is gone, with the added topics.
func merge(old, added []*Topic, gone map[string]bool, order func(a, b *Topic) int) []*Topic {
	added = slices.Clone(added)
	slices.SortFunc(added, order)
	out := make([]*Topic, 0, len(old)+len(added))
	for _, t := range old {
		if gone[t.Name] {
			continue
		}
		for len(added) > 0 && order(added[0], t) < 0 {
			out = append(out, added[0])
			added = added[1:]
		}
		out = append(out, t)
	}
	return append(out, added...)
}

// Store holds the newest image. The zero value is ready; Load gives an empty
// image until the first Publish.
type Store struct{ p atomic.Pointer[Image] }

var empty = &Image{Controller: NoBroker}

// Load gives the newest image. Any goroutine; never nil.
func (s *Store) Load() *Image {
	if m := s.p.Load(); m != nil {
		return m
	}
	return empty
}

// Publish makes an image the newest one. One goroutine at a time.
func (s *Store) Publish(m *Image) { s.p.Store(m) }
