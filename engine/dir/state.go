// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"cmp"
	"slices"

	"github.com/samsa-broker/samsa/engine/journal"
)

// state is one log the directory knows of, loaded or not. Its fields are
// guarded by Dir.mu, except where said.
type state struct {
	id        journal.LogID // its name in journal and checkpoint, for ever
	topicID   [16]byte      // of partition.metadata; may be learnt later
	topic     string
	partition int32
	name      string // of its directory
	there     bool   // the directory was there at Open, or was made since
	removed   bool   // the journal removed it
	known     bool   // by the journal or checkpoint found at Open
	log       *Log   // nil: not loaded

	// As of the last durable checkpoint; written under Dir.checkpoints too.
	synced    int64
	start     int64
	producers []byte

	// expirable is how far retention was announced in the journal.
	expirable int64
	// acked is the end of what the journal found at Open acknowledged.
	acked int64
}

func (s *state) place() Partition { return Partition{Topic: s.topic, Index: s.partition} }

// addState enters a log in the table under the number of its creation.
func (d *Dir) addState(s *state) {
	d.states[s.id.Creation] = s
	d.nextCreation = max(d.nextCreation, s.id.Creation+1)
	if !s.removed {
		d.byName[s.name] = s
	}
}

// newState enters a log that the journal does not know yet.
func (d *Dir) newState(topic string, partition int32, topicID [16]byte) *state {
	s := &state{
		id:      journal.LogID{Topic: topicID, Creation: d.nextCreation, Partition: partition},
		topicID: topicID, topic: topic, partition: partition, name: logName(topic, partition),
	}
	d.addState(s)
	return s
}

// dropState forgets a log.
func (d *Dir) dropState(s *state) {
	delete(d.states, s.id.Creation)
	if d.byName[s.name] == s {
		delete(d.byName, s.name)
	}
}

// sorted lists the table by creation, so that checkpoints repeat.
func (d *Dir) sorted() []*state {
	out := make([]*state, 0, len(d.states))
	for _, s := range d.states {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *state) int { return cmp.Compare(a.id.Creation, b.id.Creation) })
	return out
}

// loaded lists the logs that are open.
func (d *Dir) loaded() []*Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*Log
	for _, s := range d.sorted() {
		if s.log != nil {
			out = append(out, s.log)
		}
	}
	return out
}
