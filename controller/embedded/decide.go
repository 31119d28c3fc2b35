// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// atOnce is how many partitions are started or stopped side by side: each waits
// for its directory's syncs most of the time.
const atOnce = 8

// outcome is what became of a decision's partitions.
type outcome struct {
	failed  map[meta.Partition]error
	touched map[string]bool // topics to publish anew
}

// of gives the first failure of a topic's partitions, lowest index first.
func (o outcome) of(topic string) error {
	var first meta.Partition
	var err error
	for p, e := range o.failed {
		if p.Topic == topic && (err == nil || p.Index < first.Index) {
			first, err = p, e
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", meta.ErrStorage, first, err)
	}
	return nil
}

// runner carries decisions out: it holds the machine, the store it writes to,
// the replicas it tells and the image it publishes. Its owner lets one decision
// run at a time.
type runner struct {
	o        Options
	cluster  string
	images   meta.Store
	replicas Replicas
	serving  atomic.Bool // started, not closed, store sound

	store   *store // nil: a new one that Adopt will create
	machine *controller.Machine
	topics  map[string]*stored
	configs BrokerConfigs
	broken  error // the file failed: nothing more is decided
}

// stored is what is kept of a topic beside the machine.
type stored struct {
	id       meta.TopicID
	config   map[string]string // replaced as a whole
	adopted  bool
	creating int32 // partitions from here on may have no log yet; -1: all have
}

func (r *runner) notice(format string, args ...any) { say(r.o.Events, format, args...) }

// decide lets the machine take events, writes what it decides together with
// what prepare writes, in one transaction, then tells the replicas, feeds their
// answers back, and goes on until nothing is left to do. Then the image is
// published. When the store refuses, nothing of the round has happened: the
// machine is loaded again from what is stored.
func (r *runner) decide(prepare func(*txn) error, events ...controller.Event) (outcome, error) {
	out := outcome{failed: map[meta.Partition]error{}, touched: map[string]bool{}}
	for len(events) > 0 || prepare != nil {
		var effects []controller.Effect
		for _, ev := range events {
			effects = append(effects, r.machine.Step(ev)...)
		}
		written, err := r.write(prepare, effects)
		if err != nil {
			return out, r.refused(err)
		}
		prepare = nil
		events = append(written, r.tell(effects, &out)...)
	}
	r.publish(out.touched)
	return out, nil
}

// write stores one round of effects and gives the events that say so.
func (r *runner) write(prepare func(*txn) error, effects []controller.Effect) ([]controller.Event, error) {
	if prepare == nil && !slices.ContainsFunc(effects, isWrite) {
		return nil, nil
	}
	if r.broken != nil {
		return nil, r.broken
	}
	var events []controller.Event
	begun := r.o.Now()
	err := r.store.update(func(t *txn) error {
		if prepare != nil {
			if err := prepare(t); err != nil {
				return err
			}
		}
		for _, f := range effects {
			switch f := f.(type) {
			case controller.WriteState:
				version, err := writeState(t, f)
				if err != nil {
					return err
				}
				events = append(events, controller.StateWritten{Partition: f.Partition, Version: version})
			case controller.RemoveTopic:
				if err := removeTopic(t, f.Topic); err != nil {
					return err
				}
				events = append(events, controller.TopicRemoved{Topic: f.Topic})
			}
		}
		return nil
	})
	if r.o.Events.Wrote != nil {
		r.o.Events.Wrote(r.o.Now().Sub(begun), err)
	}
	return events, err
}

func isWrite(f controller.Effect) bool {
	switch f.(type) {
	case controller.WriteState, controller.RemoveTopic:
		return true
	}
	return false
}

// refused handles an error of the store. A full disk undoes the decision and
// nothing else; anything else means that nobody knows what is on disk.
func (r *runner) refused(err error) error {
	if r.broken == nil && !full(err) {
		r.broken = err
		r.serving.Store(false)
		r.notice("samsa.meta failed, no further change is accepted until the next start: %v", err)
	}
	if r.broken == nil {
		if r.broken = r.load(false); r.broken == nil {
			r.publishAll()
		}
	}
	return storageError(err)
}

// tell carries out the effects that are not writes and gives the answers.
func (r *runner) tell(effects []controller.Effect, out *outcome) []controller.Event {
	var leads []controller.Announce
	var stops []controller.StopReplica
	gone := map[string]bool{}
	for _, f := range effects {
		switch f := f.(type) {
		case controller.Announce:
			out.touched[f.Partition.Topic] = true
			if slices.Contains(f.To, r.o.Broker.ID) {
				leads = append(leads, f)
			}
		case controller.StopReplica:
			stops = append(stops, f)
		case controller.Forget:
			gone[f.Topic] = true
		case controller.RemoveTopic:
			delete(r.topics, f.Topic)
		}
	}
	if len(gone) > 0 { // before the replicas stop: nobody shall be sent to them
		r.publish(gone)
	}
	leadErrs := sideBySide(len(leads), func(i int) error { return r.replicas.Lead(r.leadership(leads[i])) })
	stopErrs := sideBySide(len(stops), func(i int) error { return r.replicas.Stop(stops[i].Partition, stops[i].Delete) })
	var events []controller.Event
	for i, err := range leadErrs {
		if err != nil {
			out.failed[leads[i].Partition] = err
			events = append(events, controller.ReplicaFailed{Partition: leads[i].Partition, Broker: r.o.Broker.ID})
		}
	}
	for i, err := range stopErrs {
		if err != nil {
			out.failed[stops[i].Partition] = err
		}
		events = append(events, controller.ReplicaDeleted{Partition: stops[i].Partition, Broker: r.o.Broker.ID, Failed: err != nil})
	}
	return events
}

func (r *runner) leadership(a controller.Announce) Leadership {
	s := r.topics[a.Partition.Topic]
	return Leadership{
		Partition: a.Partition, Topic: a.TopicID, LeaderEpoch: a.State.LeaderEpoch, PartitionEpoch: a.Version,
		ISR: a.State.ISR, Replicas: a.Replicas, Config: s.config, Adopted: s.adopted,
		New: s.creating >= 0 && a.Partition.Index >= s.creating,
	}
}

// sideBySide runs n calls, a few at a time, and waits for all.
func sideBySide(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		wait.Add(1)
		go func() {
			defer func() { <-slots; wait.Done() }()
			errs[i] = fn(i)
		}()
	}
	wait.Wait()
	return errs
}

// publish makes a new image in which the named topics are as the machine and
// the edge know them now.
func (r *runner) publish(names map[string]bool) {
	if len(names) == 0 {
		return
	}
	var removed []string
	var changed []*meta.Topic
	for name := range names {
		if t := r.topic(name); t != nil {
			changed = append(changed, t)
		} else {
			removed = append(removed, name)
		}
	}
	r.images.Publish(r.images.Load().With(removed, changed...))
}

// publishAll makes a new image of everything.
func (r *runner) publishAll() {
	names := map[string]bool{}
	for _, t := range r.images.Load().Topics() {
		names[t.Name] = true
	}
	for name := range r.topics {
		names[name] = true
	}
	r.publish(names)
}

// unveil makes the first image, of what is stored.
func (r *runner) unveil() {
	r.images.Publish(meta.NewImage(r.cluster, r.o.Broker.ID, []meta.Broker{r.o.Broker}))
	r.publishAll()
}

// topic makes the picture of one topic; nil when there is none to be seen.
func (r *runner) topic(name string) *meta.Topic {
	s, partitions := r.topics[name], r.machine.Partitions(name)
	if s == nil || partitions == nil {
		return nil
	}
	return &meta.Topic{Name: name, ID: s.id, Partitions: partitions, Config: s.config, Adopted: s.adopted, Internal: meta.IsInternal(name)}
}
