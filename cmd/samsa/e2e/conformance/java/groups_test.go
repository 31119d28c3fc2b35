// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package java

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// shared waits until the members own all partitions of a topic between them,
// each some, and returns what each has.
func shared(t *testing.T, topic string, partitions int, members map[string]*JVM) map[string][]string {
	t.Helper()
	var owned map[string][]string
	e2e.Eventually(t, 40*time.Second, func() error {
		owned = map[string][]string{}
		var all []string
		for name, j := range members {
			owned[name] = j.Do(t, "assignment", name)
			if len(owned[name]) == 0 {
				return fmt.Errorf("%s has nothing: %v", name, owned)
			}
			all = append(all, owned[name]...)
		}
		slices.Sort(all)
		if len(all) != partitions || len(slices.Compact(all)) != partitions || !strings.HasPrefix(all[0], topic) {
			return fmt.Errorf("owned, by member: %v", owned)
		}
		return nil
	})
	return owned
}

// Each client in a group: reads a part and commits, a second consumer goes on
// exactly there, a third seeks back; two share the partitions, one leaves and
// the other takes over.
func TestJavaGroups(t *testing.T) {
	for _, c := range clients {
		t.Run(c.version, func(t *testing.T) {
			b := e2e.Start(t, e2e.Options{})
			j := c.at(t, b.Addr)
			j.Do(t, "create", "shared", 4)
			want := produced(t, "shared", j.Do(t, append([]any{"produce", "shared", sent, base}, c.idempotent()...)...))

			j.Do(t, "open", "first", "g", "shared", "limit=120", "max.poll.records=30")
			read := j.Do(t, "take", "first", 120)
			j.Do(t, "commit", "first")
			j.Do(t, "close", "first")
			stands := int64(0)
			for _, at := range committed(t, b.Addr, "g") {
				stands += max(0, at)
			}
			if int(stands) != len(read) {
				t.Errorf("read %d, committed %d", len(read), stands)
			}
			j.Do(t, "open", "second", "g", "shared")
			rest := j.Do(t, "take", "second", sent-len(read))
			same(t, "both consumers", sorted(slices.Concat(read, rest)), want)
			j.Do(t, "seek", "second", "shared", 2, 5)
			again := j.Do(t, "take", "second", 1)
			if !strings.HasPrefix(again[0], "shared 2 5 ") {
				t.Errorf("after a seek to 5: %s", again[0])
			}
			j.Do(t, "commit", "second")

			j.Do(t, "open", "third", "g", "shared")
			both := map[string]*JVM{"second": j, "third": j}
			shared(t, "shared", 4, both)
			if c.groups {
				same(t, "groups", j.Do(t, "groups"), []string{"g simple false"})
				said := j.Do(t, "group", "g")
				if len(said) != 3 || said[2] != "state Stable assignor range coordinator 0" || !strings.Contains(said[0], " at /127.0.0.1 has shared-") {
					t.Errorf("group: %v", said)
				}
				if got := j.Do(t, "committed", "g"); len(got) != 4 {
					t.Errorf("committed: %v", got)
				}
				if _, err := j.Try(t, "forget", "g"); err == nil || !strings.Contains(err.Error(), "GroupNotEmptyException") {
					t.Errorf("delete a live group: %v", err)
				}
			}
			j.Do(t, "close", "second")
			shared(t, "shared", 4, map[string]*JVM{"third": j})
			j.Do(t, "close", "third")
			if c.groups {
				e2e.Eventually(t, 10*time.Second, func() error { _, err := j.Try(t, "forget", "g"); return err })
				same(t, "groups", j.Do(t, "groups"), nil)
			}
		})
	}
}

// Assignors beyond the default, and members of different versions in one group.
func TestJavaGroupsOfManyVersions(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "mixed", 10, nil)
	members := map[string]*JVM{}
	for _, c := range clients {
		members[c.version] = c.at(t, b.Addr)
	}
	for _, assignor := range []string{"RangeAssignor", "RoundRobinAssignor", "StickyAssignor"} {
		t.Run(assignor, func(t *testing.T) {
			in := map[string]*JVM{}
			for name, j := range members {
				j.Do(t, "open", name, "g-"+assignor, "mixed", "partition.assignment.strategy=org.apache.kafka.clients.consumer."+assignor)
				in[name] = j
			}
			owned := shared(t, "mixed", 10, in)
			for name, has := range owned {
				if len(has) != 2 {
					t.Errorf("%s has %v", name, has)
				}
			}
			members["2.8.2"].Do(t, "close", "2.8.2")
			delete(in, "2.8.2")
			shared(t, "mixed", 10, in)
			for name, j := range in {
				j.Do(t, "close", name)
			}
		})
	}
}

// Cooperative members keep what they do not give away; a static member comes
// back to what it had and nobody else notices.
func TestJavaCooperativeAndStaticMembers(t *testing.T) {
	for _, c := range clients {
		if !c.static {
			continue
		}
		t.Run(c.version, func(t *testing.T) {
			b := e2e.Start(t, e2e.Options{})
			j := c.at(t, b.Addr)
			j.Do(t, "create", "kept", 4)
			cooperative := "partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor"
			open := func(name string) { j.Do(t, "open", name, "g", "kept", cooperative, "group.instance.id="+name) }
			open("a")
			shared(t, "kept", 4, map[string]*JVM{"a": j})
			open("b")
			both := map[string]*JVM{"a": j, "b": j}
			owned := shared(t, "kept", 4, both)
			events := j.Do(t, "events", "a")
			for _, e := range events {
				for _, kept := range owned["a"] {
					if strings.HasPrefix(e, "-") && strings.Contains(e, kept) {
						t.Errorf("a kept %s and gave it away: %v", kept, events)
					}
				}
			}
			j.Do(t, "close", "b")
			open("b")
			if back := shared(t, "kept", 4, both); !slices.Equal(back["b"], owned["b"]) || !slices.Equal(back["a"], owned["a"]) {
				t.Errorf("before %v, after %v", owned, back)
			}
			same(t, "events of a", j.Do(t, "events", "a"), events)

			// A second process with b's name: one of the two is fenced.
			j.Do(t, "open", "twin", "g", "kept", cooperative, "group.instance.id=b")
			e2e.Eventually(t, 20*time.Second, func() error {
				_, first := j.Try(t, "assignment", "b")
				if first == nil || !strings.Contains(first.Error(), "FencedInstanceIdException") {
					return fmt.Errorf("b: %v", first)
				}
				return nil
			})
		})
	}
}

// Rounds of records spread over 100 partitions, most of them idle at a time:
// fetch sessions since 1.1, whole requests before.
func TestJavaManyPartitions(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "wide", 100, nil)
	for _, c := range clients {
		t.Run(c.version, func(t *testing.T) {
			j := c.at(t, b.Addr)
			j.Do(t, "open", "m", "g-"+c.version, "wide", "auto.offset.reset=latest")
			shared(t, "wide", 100, map[string]*JVM{"m": j})
			j.Do(t, "seek-end", "m")
			for range 3 {
				want := produced(t, "wide", j.Do(t, append([]any{"produce", "wide", sent, base, "compression.type=lz4"}, c.idempotent()...)...))
				same(t, "a round", sorted(j.Do(t, "take", "m", sent)), want)
			}
			j.Do(t, "close", "m")
		})
	}
}

// A pattern takes in topics made later.
func TestJavaPatterns(t *testing.T) {
	for _, c := range clients {
		t.Run(c.version, func(t *testing.T) {
			b := e2e.Start(t, e2e.Options{})
			j := c.at(t, b.Addr)
			for _, topic := range []string{"awesome-1", "other"} {
				j.Do(t, "create", topic, 1)
				j.Do(t, "produce", topic, sent, base)
			}
			j.Do(t, "open", "m", "g", "^awesome.*")
			got := j.Do(t, "take", "m", sent)
			j.Do(t, "commit", "m")
			j.Do(t, "create", "awesome-2", 1)
			want := produced(t, "awesome-2", j.Do(t, "produce", "awesome-2", sent, base))
			same(t, "the later topic", sorted(j.Do(t, "take", "m", sent)), want)
			for _, line := range got {
				if !strings.HasPrefix(line, "awesome-1 ") {
					t.Fatalf("read %s", line)
				}
			}
			j.Do(t, "close", "m")
		})
	}
}
