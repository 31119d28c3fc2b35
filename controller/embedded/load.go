// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// Keys of the bucket samsa.
var keyStore = []byte("store")

func keyAdopted(topic string) []byte  { return []byte("adopted/" + topic) }
func keyCreating(topic string) []byte { return []byte("creating/" + topic) }

// plant makes the tree of a new store.
func plant(id meta.TopicID, cluster string) func(*txn) error {
	return func(t *txn) error {
		for _, path := range controller.PersistentPaths {
			if err := t.ensure(path); err != nil {
				return err
			}
		}
		if err := t.create(controller.PathClusterID, controller.EncodeClusterID(cluster), 0); err != nil {
			return err
		}
		if err := t.create(controller.PathControllerEpoch, controller.EncodeEpoch(0), 0); err != nil {
			return err
		}
		if err := t.create(controller.PathFeature, controller.EncodeFeature(), 0); err != nil {
			return err
		}
		return t.own.Put(keyStore, id[:])
	}
}

// load reads the whole store: into the machine, and what the edge keeps beside.
// At a start the controller enters its next epoch and no broker is alive yet;
// later the states belong to this broker's present incarnation.
func (r *runner) load(start bool) error {
	ev := controller.Loaded{}
	if !start {
		ev.Live = []controller.BrokerStarted{{Broker: r.o.Broker.ID}}
	}
	topics := map[string]*stored{}
	var configs BrokerConfigs
	err := r.store.view(func(t *txn) error {
		var err error
		if configs, err = loadBrokerConfigs(t, r.o.Broker.ID); err != nil {
			return err
		}
		n, _, err := t.get(controller.PathControllerEpoch)
		if err != nil {
			return err
		}
		if ev.ControllerEpoch, err = controller.DecodeEpoch(n.data); err != nil {
			return err
		}
		if start {
			ev.ControllerEpoch++
		}
		for _, name := range t.children(controller.PathTopics) {
			lt, s, err := loadTopic(t, name)
			if err != nil {
				return fmt.Errorf("topic %s: %w", name, err)
			}
			if !slices.ContainsFunc(lt.Partitions, func(p controller.LoadedPartition) bool { return !slices.Contains(p.Replicas, r.o.Broker.ID) }) {
				ev.Topics = append(ev.Topics, lt)
				topics[name] = s
				continue
			}
			return fmt.Errorf("%w: topic %s has replicas on another than broker %d", ErrBrokerID, name, r.o.Broker.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.machine.Step(ev)
	r.topics, r.configs = topics, configs
	return nil
}

func loadTopic(t *txn, name string) (controller.LoadedTopic, *stored, error) {
	fail := func(err error) (controller.LoadedTopic, *stored, error) { return controller.LoadedTopic{}, nil, err }
	n, _, err := t.get(controller.PathTopic(name))
	if err != nil {
		return fail(err)
	}
	a, err := controller.DecodeTopic(n.data)
	if err != nil {
		return fail(err)
	}
	lt := controller.LoadedTopic{Name: name, ID: a.ID}
	s := &stored{id: a.ID, config: map[string]string{}, creating: -1}
	for i, replicas := range a.Replicas {
		lp := controller.LoadedPartition{Replicas: replicas}
		n, ok, err := t.get(controller.PathState(meta.Partition{Topic: name, Index: int32(i)}))
		if err != nil {
			return fail(err)
		}
		if ok {
			state, err := controller.DecodeState(n.data)
			if err != nil {
				return fail(err)
			}
			lp.State, lp.Version = &state, n.version
		}
		lt.Partitions = append(lt.Partitions, lp)
	}
	if n, ok, err := t.get(controller.PathTopicConfig(name)); err != nil {
		return fail(err)
	} else if ok {
		if s.config, err = controller.DecodeConfig(n.data); err != nil {
			return fail(err)
		}
	}
	_, lt.Deleting, err = t.get(controller.PathDeletion(name))
	if err != nil {
		return fail(err)
	}
	s.adopted = t.own.Get(keyAdopted(name)) != nil
	if b := t.own.Get(keyCreating(name)); len(b) == 4 {
		s.creating = int32(binary.BigEndian.Uint32(b))
	}
	return lt, s, nil
}

// writeTopic stores a topic's assignment and settings, without its states.
func writeTopic(t *txn, name string, id meta.TopicID, replicas [][]meta.BrokerID, s *stored) error {
	if _, err := t.set(controller.PathTopicConfig(name), controller.EncodeConfig(s.config), -1); err != nil {
		return err
	}
	if _, err := t.set(controller.PathTopic(name), controller.EncodeTopic(controller.Assignment{ID: id, Replicas: replicas}), -1); err != nil {
		return err
	}
	return writeMarks(t, name, s)
}

// writeMarks stores what Kafka's tree has no place for.
func writeMarks(t *txn, name string, s *stored) error {
	if s.adopted {
		if err := t.own.Put(keyAdopted(name), nil); err != nil {
			return err
		}
	} else if err := t.own.Delete(keyAdopted(name)); err != nil {
		return err
	}
	if s.creating < 0 {
		return t.own.Delete(keyCreating(name))
	}
	return t.own.Put(keyCreating(name), binary.BigEndian.AppendUint32(nil, uint32(s.creating)))
}

// writeState stores a partition's state and the nodes above it.
func writeState(t *txn, w controller.WriteState) (version int32, err error) {
	if w.IfVersion >= 0 {
		return t.set(controller.PathState(w.Partition), controller.EncodeState(w.State), w.IfVersion)
	}
	if err := t.ensure(controller.PathPartitions(w.Partition.Topic)); err != nil {
		return 0, err
	}
	if err := t.ensure(controller.PathPartition(w.Partition)); err != nil {
		return 0, err
	}
	return t.set(controller.PathState(w.Partition), controller.EncodeState(w.State), -1)
}

// removeTopic removes all that is stored of a topic, the mark of its deletion
// last as in ZooKeeper, though here it is one transaction.
func removeTopic(t *txn, name string) error {
	for _, path := range []string{controller.PathTopic(name), controller.PathTopicConfig(name), controller.PathDeletion(name)} {
		if err := t.remove(path); err != nil {
			return err
		}
	}
	if err := t.own.Delete(keyAdopted(name)); err != nil {
		return err
	}
	return t.own.Delete(keyCreating(name))
}
