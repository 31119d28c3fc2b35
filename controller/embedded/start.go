// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// Start registers the broker and begins to lead: in one write the controller
// enters its next epoch and every partition gets its next leader epoch; then
// the replicas are told, deletions that were cut short are finished, and the
// image is published. The logs must have been recovered before, and those that
// Adopt named removed: Replicas.Stop is called for them as well and must not
// fail for a partition that was never led.
//
// A partition that cannot be led is named by a notice and has no leader.
func (e *Edge) Start(r Replicas) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase != adopted {
		return fmt.Errorf("embedded: start: %w", meta.ErrStopped)
	}
	e.replicas = r
	out, err := e.decide(e.register, controller.BrokerStarted{Broker: e.o.Broker.ID})
	if err != nil {
		return err
	}
	e.reportFailed(out)
	e.publishAll()
	e.phase = started
	e.serving.Store(true)
	e.settle(slices.Sorted(maps.Keys(e.topics)), out)
	return nil
}

// register writes what a broker and a controller write when they come.
func (r *runner) register(t *txn) error {
	if err := t.dropEphemeral(); err != nil {
		return err
	}
	for _, path := range controller.PersistentPaths {
		if err := t.ensure(path); err != nil {
			return err
		}
	}
	n, _, err := t.get(controller.PathControllerEpoch)
	if err != nil {
		return err
	}
	epoch, err := controller.DecodeEpoch(n.data)
	if err != nil {
		return err
	}
	if _, err := t.set(controller.PathControllerEpoch, controller.EncodeEpoch(epoch+1), n.version); err != nil {
		return err
	}
	now := r.o.Now()
	if err := t.create(controller.PathController, controller.EncodeController(r.o.Broker.ID, now), flagEphemeral); err != nil {
		return err
	}
	return t.create(controller.PathBroker(r.o.Broker.ID), controller.EncodeBroker(r.o.Broker, now), flagEphemeral)
}

// reportFailed names the partitions that cannot be led, in order: one line for
// each reason, since a directory that is lost may have held thousands.
func (r *runner) reportFailed(out outcome) {
	const named = 5
	var reasons []string
	failed := map[string][]string{}
	for _, p := range slices.SortedFunc(maps.Keys(out.failed), comparePartitions) {
		reason := out.failed[p].Error()
		if failed[reason] == nil {
			reasons = append(reasons, reason)
		}
		failed[reason] = append(failed[reason], p.String())
	}
	for _, reason := range reasons {
		switch names := failed[reason]; {
		case len(names) == 1:
			r.notice("partition %s has no leader: %s", names[0], reason)
		case len(names) <= named:
			r.notice("partitions %s have no leader: %s", strings.Join(names, ", "), reason)
		default:
			r.notice("partitions %s and %d more have no leader: %s", strings.Join(names[:named], ", "), len(names)-named, reason)
		}
	}
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

// settle takes back the marks of topics whose logs are now all there. If that
// cannot be written the marks stay, which does no harm: they only say that a
// log may be missing.
func (r *runner) settle(names []string, out outcome) {
	var done []string
	for _, name := range names {
		if s := r.topics[name]; s != nil && s.creating >= 0 && out.of(name) == nil {
			done = append(done, name)
		}
	}
	if len(done) == 0 || r.broken != nil {
		return
	}
	err := r.store.update(func(t *txn) error {
		for _, name := range done {
			if err := t.own.Delete(keyCreating(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		if !full(err) {
			r.broken = err
		}
		return
	}
	for _, name := range done {
		r.topics[name].creating = -1
	}
}

// Offline tells that this broker cannot serve partitions any more: their log
// directory failed. They have no leader until the next start.
func (e *Edge) Offline(partitions []meta.Partition) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.ready(); err != nil {
		return err
	}
	var events []controller.Event
	for _, p := range slices.SortedFunc(slices.Values(partitions), comparePartitions) {
		events = append(events, controller.ReplicaFailed{Partition: p, Broker: e.o.Broker.ID})
	}
	_, err := e.decide(nil, events...)
	return err
}
