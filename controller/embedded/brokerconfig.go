// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// BrokerConfigs is what was set on brokers while they run. The maps are read
// only and replaced as a whole.
type BrokerConfigs struct {
	All map[string]string // on all of them
	Own map[string]string // on this one
}

// loadBrokerConfigs reads what is stored; a missing node sets nothing.
func loadBrokerConfigs(t *txn, id meta.BrokerID) (c BrokerConfigs, err error) {
	for _, of := range []struct {
		path string
		into *map[string]string
	}{{controller.PathBrokerDefaults, &c.All}, {controller.PathBrokerConfig(id), &c.Own}} {
		n, ok, err := t.get(of.path)
		if err != nil {
			return c, err
		}
		if !ok {
			continue
		}
		if *of.into, err = controller.DecodeConfig(n.data); err != nil {
			return c, fmt.Errorf("%s: %w", of.path, err)
		}
	}
	return c, nil
}

// AlterBrokerConfig changes what is set on this broker, or on all of them. edit
// gets a copy of what is set and gives what shall be; nothing else changes
// meanwhile. Its error is returned as it is. When the change is stored it is
// applied: first to the broker, then to the replicas of every topic, which
// inherit from it. With validateOnly edit runs and nothing changes.
func (e *Edge) AlterBrokerConfig(all bool, edit func(config map[string]string) (map[string]string, error), validateOnly bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(); err != nil {
		return err
	}
	next, path := e.configs, controller.PathBrokerConfig(e.o.Broker.ID)
	set := &next.Own
	if all {
		set, path = &next.All, controller.PathBrokerDefaults
	}
	old := maps.Clone(*set)
	if old == nil {
		old = map[string]string{}
	}
	config, err := edit(old)
	if err != nil || validateOnly || maps.Equal(config, *set) {
		return err
	}
	*set = maps.Clone(config)
	_, err = e.decide(func(t *txn) error {
		_, err := t.set(path, controller.EncodeConfig(*set), -1)
		return err
	})
	if err != nil {
		return err
	}
	e.configs = next
	return e.reconfigure()
}

// reconfigure applies what is set now.
func (r *runner) reconfigure() error {
	if r.o.Reconfigure == nil {
		return nil
	}
	self := r.o.Reconfigure(r.configs)
	for _, name := range slices.Sorted(maps.Keys(r.topics)) {
		s := r.topics[name]
		r.replicas.Configure(name, s.config, s.adopted)
	}
	if reflect.DeepEqual(self, r.o.Broker) {
		return nil
	}
	r.o.Broker = self
	_, err := r.decide(func(t *txn) error {
		_, err := t.set(controller.PathBroker(self.ID), controller.EncodeBroker(self, r.o.Now()), -1)
		return err
	})
	r.images.Publish(r.images.Load().WithBrokers(self.ID, []meta.Broker{self}))
	return err
}
