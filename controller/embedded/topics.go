// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"maps"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// CreateTopics creates topics, all in one write, and answers one result for
// each in order. With validateOnly it answers what would have been.
func (e *Edge) CreateTopics(requests []meta.NewTopic, validateOnly bool) []meta.TopicResult {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.createTopics(requests, validateOnly)
}

// AutoCreate creates a topic with the broker's defaults, or as the broker's own
// topics are, unless it is there already.
func (e *Edge) AutoCreate(name string) (*meta.Topic, error) {
	if t := e.images.Load().Topic(name); t != nil {
		return t, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.images.Load().Topic(name); t != nil {
		return t, nil // another request was faster
	}
	request, own := e.o.Internal[name]
	if !own {
		request = meta.NewTopic{Partitions: -1, ReplicationFactor: -1}
	}
	request.Name = name
	r := e.createTopics([]meta.NewTopic{request}, false)[0]
	return r.Topic, r.Err
}

func (e *Edge) createTopics(requests []meta.NewTopic, validateOnly bool) []meta.TopicResult {
	results := make([]meta.TopicResult, len(requests))
	plans := make([][][]meta.BrokerID, len(requests))
	taken := names(e.topics)
	room := controller.PartitionsMax
	for i, r := range requests {
		plans[i], results[i].Err = e.planTopic(r, taken, room)
		if results[i].Err == nil {
			taken[meta.CollisionKey(r.Name)] = r.Name
			room -= len(plans[i])
		}
	}
	if validateOnly {
		for i, r := range requests {
			if results[i].Err == nil {
				results[i].Topic = &meta.Topic{Name: r.Name, Config: r.Config, Partitions: planned(plans[i])}
			}
		}
		return results
	}
	var names []string
	var events []controller.Event
	fresh := map[string]*stored{}
	for i, r := range requests {
		if results[i].Err == nil {
			s := &stored{id: meta.NewTopicID(), config: maps.Clone(r.Config)}
			if s.config == nil {
				s.config = map[string]string{}
			}
			names, fresh[r.Name], e.topics[r.Name] = append(names, r.Name), s, s
			events = append(events, controller.TopicAdded{Name: r.Name, ID: s.id, Replicas: plans[i]})
		}
	}
	if len(names) == 0 {
		return results
	}
	out, err := e.decide(func(t *txn) error {
		for _, ev := range events {
			added := ev.(controller.TopicAdded)
			if err := writeTopic(t, added.Name, added.ID, added.Replicas, fresh[added.Name]); err != nil {
				return err
			}
		}
		return nil
	}, events...)
	e.settle(names, out)
	for i, r := range requests {
		if results[i].Err == nil {
			results[i] = e.result(r.Name, out, err)
		}
	}
	return results
}

// result is the answer for a topic that a decision was about.
func (e *Edge) result(name string, out outcome, err error) meta.TopicResult {
	if err == nil {
		err = out.of(name)
	}
	return meta.TopicResult{Topic: e.images.Load().Topic(name), Err: err}
}

// names gives the topics that are stored, by what collides with them.
func names[T any](topics map[string]T) map[string]string {
	out := make(map[string]string, len(topics))
	for name := range topics {
		out[meta.CollisionKey(name)] = name
	}
	return out
}

func (e *Edge) planTopic(r meta.NewTopic, taken map[string]string, room int) ([][]meta.BrokerID, error) {
	if err := e.ready(); err != nil {
		return nil, err
	}
	stored, deleting := e.machine.Known(r.Name)
	other, collides := taken[meta.CollisionKey(r.Name)]
	switch {
	case deleting:
		return nil, fmt.Errorf("%w: %s is marked for deletion", meta.ErrTopicExists, r.Name)
	case stored, collides && other == r.Name:
		return nil, fmt.Errorf("%w: %s", meta.ErrTopicExists, r.Name)
	case r.Fault != nil:
		return nil, r.Fault
	}
	plan, err := controller.PlanTopic(r, e.o.Defaults, e.machine.Live(), 0)
	if err != nil {
		return nil, err
	}
	if err := meta.ValidateTopicName(r.Name); err != nil {
		return nil, err
	}
	switch {
	case collides:
		return nil, fmt.Errorf("%w: %s collides with %s: metric names cannot tell '.' from '_'", meta.ErrInvalidTopic, r.Name, other)
	case len(plan) > room:
		return nil, fmt.Errorf("%w: one request may create %d in all", meta.ErrInvalidPartitions, controller.PartitionsMax)
	}
	return plan, r.ConfigFault
}

// planned pictures partitions that are not there yet.
func planned(replicas [][]meta.BrokerID) []meta.State {
	out := make([]meta.State, len(replicas))
	for i, r := range replicas {
		out[i] = meta.State{Leader: r[0], ISR: r, Replicas: r}
	}
	return out
}

// CreatePartitions adds partitions to topics, all in one write, and answers one
// result for each in order.
func (e *Edge) CreatePartitions(requests []meta.NewPartitions, validateOnly bool) []meta.TopicResult {
	e.mu.Lock()
	defer e.mu.Unlock()
	results := make([]meta.TopicResult, len(requests))
	plans := map[string][][]meta.BrokerID{}
	var names []string
	var events []controller.Event
	room := controller.PartitionsMax
	for i, r := range requests {
		plan, err := e.planPartitions(r, plans, room)
		if results[i].Err = err; err == nil {
			room -= len(plan)
			plans[r.Topic], names = plan, append(names, r.Topic)
			events = append(events, controller.PartitionsAdded{Topic: r.Topic, Replicas: plan})
		}
	}
	if validateOnly || len(names) == 0 {
		return results
	}
	changed := map[string]stored{}
	for _, name := range names {
		s := *e.topics[name]
		if have := int32(len(e.machine.Partitions(name))); s.creating < 0 || s.creating > have {
			s.creating = have
		}
		changed[name] = s
	}
	out, err := e.decide(func(t *txn) error {
		for _, name := range names {
			s := changed[name]
			e.topics[name] = &s // what the replicas will be told
			if err := growTopic(t, name, plans[name], &s); err != nil {
				return err
			}
		}
		return nil
	}, events...)
	e.settle(names, out)
	for i, r := range requests {
		if results[i].Err == nil {
			results[i] = e.result(r.Topic, out, err)
		}
	}
	return results
}

// growTopic rewrites a topic's assignment with more partitions.
func growTopic(t *txn, name string, more [][]meta.BrokerID, s *stored) error {
	n, _, err := t.get(controller.PathTopic(name))
	if err != nil {
		return err
	}
	a, err := controller.DecodeTopic(n.data)
	if err != nil {
		return err
	}
	return writeTopic(t, name, a.ID, append(a.Replicas, more...), s)
}

func (e *Edge) planPartitions(r meta.NewPartitions, plans map[string][][]meta.BrokerID, room int) ([][]meta.BrokerID, error) {
	if err := e.ready(); err != nil {
		return nil, err
	}
	t := e.images.Load().Topic(r.Topic)
	if t == nil {
		return nil, fmt.Errorf("%w: %s", meta.ErrUnknownTopic, r.Topic)
	}
	if plans[r.Topic] != nil {
		return nil, fmt.Errorf("%w: topic %s is named twice", meta.ErrInvalidRequest, r.Topic)
	}
	plan, err := controller.PlanPartitions(t.Partitions, r, e.machine.Live())
	if err == nil && len(plan) > room {
		return nil, fmt.Errorf("%w: one request may create %d in all", meta.ErrInvalidPartitions, controller.PartitionsMax)
	}
	return plan, err
}

// DeleteTopics deletes topics and answers one result for each in order: first
// all are marked in one write and leave the image, then their replicas stop and
// their logs are removed, then one more write removes the nodes. A topic whose
// log cannot be removed stays marked; deleting it again, or the next start,
// goes on.
func (e *Edge) DeleteTopics(refs []meta.TopicRef) []meta.TopicResult {
	e.mu.Lock()
	defer e.mu.Unlock()
	results := make([]meta.TopicResult, len(refs))
	names := make([]string, len(refs))
	seen := map[string]bool{}
	var events []controller.Event
	for i, ref := range refs {
		names[i], results[i] = e.findDeletable(ref)
		if results[i].Err == nil && seen[names[i]] {
			results[i].Err = fmt.Errorf("%w: topic %s is named twice", meta.ErrInvalidRequest, names[i])
		}
		if results[i].Err == nil {
			seen[names[i]] = true
			events = append(events, controller.DeletionMarked{Topic: names[i]})
		}
	}
	if len(events) == 0 {
		return results
	}
	out, err := e.decide(func(t *txn) error {
		for _, ev := range events {
			if err := t.ensure(controller.PathDeletion(ev.(controller.DeletionMarked).Topic)); err != nil {
				return err
			}
		}
		return nil
	}, events...)
	for i := range refs {
		if results[i].Err == nil {
			if results[i].Err = err; err == nil {
				results[i].Err = out.of(names[i])
			}
		}
	}
	return results
}

func (e *Edge) findDeletable(ref meta.TopicRef) (string, meta.TopicResult) {
	fail := func(err error) (string, meta.TopicResult) { return "", meta.TopicResult{Err: err} }
	if err := e.ready(); err != nil {
		return fail(err)
	}
	if e.o.NoDeletion {
		return fail(meta.ErrDeletionDisabled)
	}
	name := ref.Name
	if !ref.ID.IsZero() {
		t := e.images.Load().TopicByID(ref.ID)
		if t == nil {
			return fail(fmt.Errorf("%w: %s", meta.ErrUnknownTopicID, ref.ID))
		}
		name = t.Name
	}
	if stored, _ := e.machine.Known(name); !stored {
		return fail(fmt.Errorf("%w: %s", meta.ErrUnknownTopic, name))
	}
	return name, meta.TopicResult{Topic: e.images.Load().Topic(name)}
}
