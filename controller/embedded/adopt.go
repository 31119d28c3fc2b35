// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"maps"
	"slices"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// Adopt compares the store with the logs that lie in the log directories and
// makes the store agree, in one write; a new store is created here. It gives
// the indexes of those logs whose deletion was cut short: the caller removes
// them before Start. An error that wraps ErrRefused names a log that does not
// fit; nothing has been written then.
func (e *Edge) Adopt(found []Found, c Circumstances) (remove []int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase != opened {
		return nil, fmt.Errorf("embedded: adopt: %w", meta.ErrStopped)
	}
	topics := map[string]known{}
	if e.store != nil {
		if topics, err = e.known(); err != nil {
			return nil, err
		}
	}
	p, err := reconcile(found, topics, c)
	if err != nil {
		return nil, err
	}
	if err := e.apply(p); err != nil {
		return nil, err
	}
	if err := e.load(true); err != nil {
		return nil, err
	}
	e.unveil()
	for _, line := range p.notices {
		e.notice("%s", line)
	}
	e.phase = adopted
	return p.remove, nil
}

// known reads what is stored.
func (e *Edge) known() (map[string]known, error) {
	topics := map[string]known{}
	err := e.store.view(func(t *txn) error {
		for _, name := range t.children(controller.PathTopics) {
			lt, s, err := loadTopic(t, name)
			if err != nil {
				return fmt.Errorf("topic %s: %w", name, err)
			}
			k := known{id: s.id, creating: s.creating, deleting: lt.Deleting}
			for _, lp := range lt.Partitions {
				epoch := int32(-1)
				if lp.State != nil {
					epoch = lp.State.LeaderEpoch
				}
				k.epochs = append(k.epochs, epoch)
			}
			topics[name] = k
		}
		return nil
	})
	return topics, err
}

// apply writes a plan.
func (e *Edge) apply(p *plan) error {
	change := func(t *txn) error {
		for _, name := range p.drop {
			if err := removeTopic(t, name); err != nil {
				return err
			}
		}
		for _, name := range slices.Sorted(maps.Keys(p.adopt)) {
			j := p.adopt[name]
			if j.id.IsZero() {
				j.id = meta.NewTopicID()
			}
			s := &stored{id: j.id, config: maps.Clone(e.o.Internal[name].Config), adopted: true, creating: j.creating}
			if err := e.writeJoined(t, name, j, s); err != nil {
				return err
			}
		}
		for _, name := range slices.Sorted(maps.Keys(p.join)) {
			_, s, err := loadTopic(t, name)
			if err != nil {
				return err
			}
			s.creating = p.join[name].creating
			if err := e.writeJoined(t, name, p.join[name], s); err != nil {
				return err
			}
		}
		return nil
	}
	if e.store != nil {
		if len(p.drop)+len(p.adopt)+len(p.join) == 0 {
			return nil
		}
		return e.store.update(change)
	}
	var err error
	e.store, err = createStore(e.o.Dirs[0], e.o.Now, &e.version, func(t *txn) error {
		if err := plant(e.id, e.cluster)(t); err != nil {
			return err
		}
		return change(t)
	})
	return err
}

// writeJoined stores a topic as it shall be. Partitions without a log get no
// state: they begin at epoch 0 when they are first led. The others get a state
// without a leader, and their next epoch at the start.
func (e *Edge) writeJoined(t *txn, name string, j joined, s *stored) error {
	replicas := make([][]meta.BrokerID, j.count)
	for i := range replicas {
		replicas[i] = []meta.BrokerID{e.o.Broker.ID}
	}
	if err := writeTopic(t, name, j.id, replicas, s); err != nil {
		return err
	}
	for _, index := range slices.Sorted(maps.Keys(j.epochs)) {
		p := meta.Partition{Topic: name, Index: index}
		w := controller.WriteState{Partition: p, IfVersion: -1}
		w.State = controller.State{Leader: meta.NoBroker, LeaderEpoch: j.epochs[index], ISR: replicas[index]}
		if _, err := writeState(t, w); err != nil {
			return err
		}
	}
	return nil
}
