// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/samsa-broker/samsa/controller/meta"
)

// cluster is what a machine acts on: stored states, and writes under way.
type cluster struct {
	t       *rapid.T
	m       *Machine
	live    map[meta.BrokerID]bool
	stored  map[meta.Partition]State
	version map[meta.Partition]int32
	pending []WriteState
	told    map[meta.Partition]int32 // leader epoch last announced
	topics  int
}

// take looks at effects as an edge would, and at what they promise.
func (c *cluster) take(effects []Effect) {
	for _, f := range effects {
		switch f := f.(type) {
		case WriteState:
			if slices.ContainsFunc(c.pending, func(w WriteState) bool { return w.Partition == f.Partition }) {
				c.t.Fatalf("two writes of %s at once", f.Partition)
			}
			if len(f.State.ISR) == 0 {
				c.t.Fatalf("%s: nobody is in sync", f.Partition)
			}
			if l := f.State.Leader; l != meta.NoBroker && (!c.live[l] || !slices.Contains(f.State.ISR, l)) {
				c.t.Fatalf("%s: %d leads; live %v, in sync %v", f.Partition, l, c.live, f.State.ISR)
			}
			if old, ok := c.stored[f.Partition]; ok {
				for _, b := range f.State.ISR {
					if !slices.Contains(old.ISR, b) {
						c.t.Fatalf("%s: %d joined the in-sync replicas %v by itself", f.Partition, b, old.ISR)
					}
				}
			}
			c.pending = append(c.pending, f)
		case Announce:
			s, ok := c.stored[f.Partition]
			if !ok || s.LeaderEpoch != f.State.LeaderEpoch || s.Leader != f.State.Leader || c.version[f.Partition] != f.Version {
				c.t.Fatalf("%s: announced %+v, stored is %+v", f.Partition, f.State, s)
			}
			if f.State.LeaderEpoch < c.told[f.Partition] {
				c.t.Fatalf("%s: epoch %d was announced before %d", f.Partition, c.told[f.Partition], f.State.LeaderEpoch)
			}
			c.told[f.Partition] = f.State.LeaderEpoch
		}
	}
}

// answer lets one pending write through, or finds that the leader changed the
// in-sync replicas meanwhile.
func (c *cluster) answer(i int, refuse bool) {
	w := c.pending[i]
	c.pending = slices.Delete(c.pending, i, i+1)
	if old, ok := c.stored[w.Partition]; ok && refuse {
		old.ISR = old.ISR[:1]
		c.stored[w.Partition] = old
		c.version[w.Partition]++
		c.take(c.m.Step(StateRefused{w.Partition, old, c.version[w.Partition]}))
		return
	}
	if old, ok := c.stored[w.Partition]; ok && w.State.LeaderEpoch <= old.LeaderEpoch {
		c.t.Fatalf("%s: epoch %d was followed by %d", w.Partition, old.LeaderEpoch, w.State.LeaderEpoch)
	}
	c.stored[w.Partition] = w.State
	c.version[w.Partition] = w.IfVersion + 1
	c.take(c.m.Step(StateWritten{w.Partition, w.IfVersion + 1}))
}

// Brokers come and go, topics are made, writes are slow or refused; at the end
// everything is answered, and then every partition that can have a leader has
// one, and who leads is alive.
func TestRandomClusters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &cluster{t: t, m: NewMachine(), live: map[meta.BrokerID]bool{}, stored: map[meta.Partition]State{},
			version: map[meta.Partition]int32{}, told: map[meta.Partition]int32{}}
		c.m.Step(Loaded{ControllerEpoch: 1})
		broker := rapid.Map(rapid.Int32Range(1, 4), func(n int32) meta.BrokerID { return meta.BrokerID(n) })
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				b := broker.Draw(t, "broker")
				c.live[b] = true
				c.take(c.m.Step(BrokerStarted{Broker: b}))
			},
			"fail": func(t *rapid.T) {
				b := broker.Draw(t, "broker")
				delete(c.live, b)
				c.take(c.m.Step(BrokerFailed{b}))
			},
			"topic": func(t *rapid.T) {
				if c.topics++; c.topics > 3 {
					t.Skip("enough topics")
				}
				replicas := rapid.SliceOfNDistinct(broker, 1, 4, rapid.ID[meta.BrokerID]).Draw(t, "replicas")
				c.take(c.m.Step(TopicAdded{Name: string(rune('a' + c.topics)), Replicas: [][]meta.BrokerID{replicas}}))
			},
			"answer": func(t *rapid.T) {
				if len(c.pending) == 0 {
					t.Skip("nothing pending")
				}
				c.answer(rapid.IntRange(0, len(c.pending)-1).Draw(t, "which"), rapid.Bool().Draw(t, "refuse"))
			},
		})
		for len(c.pending) > 0 {
			c.answer(0, false)
		}
		for p, s := range c.stored {
			able := slices.ContainsFunc(s.ISR, func(b meta.BrokerID) bool { return c.live[b] })
			if able != (s.Leader != meta.NoBroker) || s.Leader != meta.NoBroker && !c.live[s.Leader] {
				t.Fatalf("%s: %+v with live %v", p, s, c.live)
			}
		}
	})
}
