// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/samsa-broker/samsa/controller/meta"
)

// ErrRefused is returned when the log directories and the store contradict each
// other and guessing could lose records.
var ErrRefused = errors.New("embedded: the log directories do not fit the store")

// indexMax bounds the partition numbers that directory names may carry: the
// missing ones below are created.
const indexMax = 100_000

// Found is one log that lies in a log directory.
type Found struct {
	Topic     string
	Partition int32
	ID        meta.TopicID // of partition.metadata; zero: there is none
	LastEpoch int32        // last line of leader-epoch-checkpoint; -1: none
	Named     bool         // this directory's journal or checkpoint names the log
	Dir       string       // where it lies, for messages
}

func (f Found) id() meta.Partition { return meta.Partition{Topic: f.Topic, Index: f.Partition} }

// Circumstances are what Adopt must know besides the logs.
type Circumstances struct {
	AllOnline   bool // every configured log directory could be read
	OtherBroker bool // another broker ran on these directories since we did
}

// trusting tells whether what lies on disk is newer than what is stored.
func (c Circumstances) trusting() bool { return c.AllOnline && c.OtherBroker }

// known is what is stored of one topic, as far as reconcile needs it.
type known struct {
	id       meta.TopicID
	epochs   []int32 // leader epochs; -1: state never written
	creating int32
	deleting bool
}

// plan is what must change so that store and directories agree.
type plan struct {
	remove  []int             // found logs whose deletion was cut short
	drop    []string          // stored topics to forget
	adopt   map[string]joined // topics that are new to the store
	join    map[string]joined // stored topics that get more partitions, or higher epochs
	notices []string
}

// joined is a topic as it shall be.
type joined struct {
	id       meta.TopicID
	count    int32
	epochs   map[int32]int32 // least leader epoch to store, of partitions that have a log
	creating int32           // partitions from here on may lack a log; -1: none does
}

func (p *plan) say(format string, args ...any) {
	p.notices = append(p.notices, fmt.Sprintf(format, args...))
}

// reconcile compares the logs found with the topics stored. A log without a
// stored partition that the journal names was being deleted: finish it. Any
// other one is adopted. A stored partition without its log is believed to be
// gone only if every directory is there and another broker ran on them. If one
// is known to be offline, the log stands there, and the partition has no leader;
// else the start is refused, because the disk with its records may just be
// missing.
func reconcile(found []Found, topics map[string]known, c Circumstances) (*plan, error) {
	p := &plan{adopt: map[string]joined{}, join: map[string]joined{}}
	logs, err := byTopic(found)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		if err := p.storedTopic(name, topics[name], logs[name], found, c); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(logs)) {
		if _, ok := topics[name]; ok {
			continue
		}
		rest := p.unnamed(logs[name], found)
		if len(rest) > 0 && !c.AllOnline {
			return nil, unclear(name)
		}
		if err := p.strangers(name, rest, found); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// unclear refuses to guess how many partitions another broker gave a topic.
func unclear(topic string) error {
	return fmt.Errorf("%w: topic %s has partitions that are not stored, and a log directory is offline that may hold more of them: bring it back first",
		ErrRefused, topic)
}

// byTopic groups logs by topic, in order of partitions, and refuses what no
// broker could have left.
func byTopic(found []Found) (map[string][]int, error) {
	logs := map[string][]int{}
	at := map[meta.Partition]int{}
	for i, f := range found {
		if err := meta.ValidateTopicName(f.Topic); err != nil {
			return nil, fmt.Errorf("%w: %s in %s: %w", ErrRefused, f.id(), f.Dir, err)
		}
		if f.Partition < 0 || f.Partition >= indexMax || f.LastEpoch == math.MaxInt32 {
			return nil, fmt.Errorf("%w: %s in %s: partition %d, epoch %d", ErrRefused, f.id(), f.Dir, f.Partition, f.LastEpoch)
		}
		if other, ok := at[f.id()]; ok {
			return nil, fmt.Errorf("%w: %s lies in %s and in %s: move the wrong one away", ErrRefused, f.id(), found[other].Dir, f.Dir)
		}
		at[f.id()] = i
		logs[f.Topic] = append(logs[f.Topic], i)
	}
	for _, l := range logs {
		slices.SortFunc(l, func(a, b int) int { return int(found[a].Partition) - int(found[b].Partition) })
	}
	return logs, nil
}

// unnamed takes out the logs whose deletion was cut short.
func (p *plan) unnamed(logs []int, found []Found) []int {
	var rest []int
	for _, i := range logs {
		if !found[i].Named {
			rest = append(rest, i)
			continue
		}
		p.remove = append(p.remove, i)
		p.say("finishing the deletion of %s in %s", found[i].id(), found[i].Dir)
	}
	return rest
}

// storedTopic settles one stored topic with the logs of its name.
func (p *plan) storedTopic(name string, k known, logs []int, found []Found, c Circumstances) error {
	var mine, other []int
	for _, i := range logs {
		f := found[i]
		switch {
		case !f.ID.IsZero() && f.ID != k.id:
			other = append(other, i)
		case f.Named && int(f.Partition) >= len(k.epochs):
			other = append(other, i) // ours, but no stored partition: being deleted
		default:
			mine = append(mine, i)
		}
	}
	other = p.unnamed(other, found)
	switch {
	case k.deleting && len(other) > 0:
		f := found[other[0]]
		return fmt.Errorf("%w: topic %s (%s) is being deleted, and %s holds %s of another one (%s): move it away until the next start is through",
			ErrRefused, name, k.id, f.Dir, f.id(), f.ID)
	case k.deleting:
		p.remove = append(p.remove, mine...)
		return nil
	case len(other) > 0 && len(mine) == 0 && c.trusting():
		p.drop = append(p.drop, name)
		p.say("topic %s was recreated by another broker: taking the new one (%s instead of %s)", name, found[other[0]].ID, k.id)
		return p.strangers(name, other, found)
	case len(other) > 0:
		f := found[other[0]]
		return fmt.Errorf("%w: %s in %s has topic id %s, stored is %s", ErrRefused, f.id(), f.Dir, f.ID, k.id)
	}
	return p.match(name, k, mine, found, c)
}

// match settles a stored topic whose logs, as far as there are any, are its own.
func (p *plan) match(name string, k known, mine []int, found []Found, c Circumstances) error {
	j := joined{id: k.id, count: int32(len(k.epochs)), epochs: map[int32]int32{}, creating: k.creating}
	has := map[int32]bool{}
	changed := false
	for _, i := range mine {
		f := found[i]
		has[f.Partition] = true
		j.count = max(j.count, f.Partition+1)
		if int(f.Partition) >= len(k.epochs) || f.LastEpoch > k.epochs[f.Partition] {
			j.epochs[f.Partition], changed = max(f.LastEpoch, 0), true
		}
	}
	if old := int32(len(k.epochs)); j.count > old {
		p.say("topic %s has %d partitions instead of %d: another broker added them", name, j.count, old)
	}
	var missing []int32
	for i := range j.count {
		if !has[i] && (k.creating < 0 || i < k.creating) {
			missing = append(missing, i)
		}
	}
	if len(missing) > 0 && !c.AllOnline {
		if int(j.count) > len(k.epochs) {
			return unclear(name)
		}
		missing = nil // it stands in the directory that is offline
	}
	if len(missing) > 0 && !slices.ContainsFunc(missing, func(i int32) bool { return int(i) < len(k.epochs) }) {
		p.say("topic %s: partitions %v have no log: creating them empty", name, missing)
	} else if len(missing) > 0 {
		if !c.trusting() {
			return fmt.Errorf("%w: %s-%d has no log in any log directory (is a disk missing?)", ErrRefused, name, missing[0])
		}
		if len(mine) == 0 {
			p.drop = append(p.drop, name)
			p.say("topic %s was deleted by another broker: forgetting it", name)
			return nil
		}
		for _, i := range missing {
			p.say("another broker removed the log of %s-%d: creating it empty", name, i)
		}
	}
	if len(missing) > 0 {
		changed = true
		if j.creating < 0 || missing[0] < j.creating {
			j.creating = missing[0]
		}
	}
	if changed {
		p.join[name] = j
	}
	return nil
}

// strangers adopts the logs of a topic that is not stored.
func (p *plan) strangers(name string, logs []int, found []Found) error {
	if len(logs) == 0 {
		return nil
	}
	j := joined{epochs: map[int32]int32{}, creating: -1}
	for _, i := range logs {
		f := found[i]
		if !f.ID.IsZero() && !j.id.IsZero() && f.ID != j.id {
			return fmt.Errorf("%w: %s in %s has topic id %s, other partitions have %s", ErrRefused, f.id(), f.Dir, f.ID, j.id)
		}
		if j.id.IsZero() {
			j.id = f.ID
		}
		j.count = max(j.count, f.Partition+1)
		j.epochs[f.Partition] = max(f.LastEpoch, 0)
	}
	var missing []int32
	for i := range j.count {
		if _, ok := j.epochs[i]; !ok {
			missing = append(missing, i)
		}
	}
	p.say("adopting topic %s with %d partitions; nothing of it is deleted or compacted until its config is set", name, j.count)
	if len(missing) > 0 {
		j.creating = missing[0]
		p.say("topic %s: partitions %v have no log: creating them empty", name, missing)
	}
	p.adopt[name] = j
	return nil
}
