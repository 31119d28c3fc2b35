// SPDX-License-Identifier: Apache-2.0

package meta

import (
	"errors"
	"strings"
	"testing"
)

// Ids survive their text form, and text that is not one is refused.
func TestTopicIDText(t *testing.T) {
	for range 2000 {
		id := NewTopicID()
		s := id.String()
		if len(s) != 22 || s[0] == '-' {
			t.Fatalf("bad text %q", s)
		}
		got, err := ParseTopicID(s)
		if err != nil || got != id {
			t.Fatalf("%q: got %v, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "x", strings.Repeat("A", 21), strings.Repeat("A", 23), strings.Repeat("A", 21) + "=", strings.Repeat("A", 21) + "B", "AAAAAAAAAAAAAAAAAAAA+/"} {
		if _, err := ParseTopicID(bad); !errors.Is(err, ErrTopicID) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestTopicNames(t *testing.T) {
	good := []string{"a", "A.b_c-9", "...", strings.Repeat("x", 249), "__consumer_offsets"}
	bad := []string{"", ".", "..", "a b", "a/b", "ä", "a\x00", strings.Repeat("x", 250)}
	for _, n := range good {
		if err := ValidateTopicName(n); err != nil {
			t.Errorf("%q: %v", n, err)
		}
	}
	for _, n := range bad {
		if err := ValidateTopicName(n); !errors.Is(err, ErrInvalidTopic) {
			t.Errorf("%q: got %v", n, err)
		}
	}
	if CollisionKey("a.b_c") != CollisionKey("a_b.c") || CollisionKey("a-b") == CollisionKey("a.b") {
		t.Error("collision keys")
	}
}

// A chain of images: each keeps what it was, the newest has what was asked for.
func TestImageWith(t *testing.T) {
	m0 := NewImage("c", 1, []Broker{{ID: 2}, {ID: 1}})
	a1 := &Topic{Name: "a", ID: NewTopicID()}
	b := &Topic{Name: "b", ID: NewTopicID()}
	c := &Topic{Name: "c", ID: NewTopicID(), Partitions: []State{{Leader: 1}}}
	m1 := m0.With(nil, c, a1, b)
	a2 := &Topic{Name: "a", ID: NewTopicID()}
	m2 := m1.With([]string{"b", "missing"}, a1, a2)

	if m0.Topic("a") != nil || len(m0.Topics()) != 0 {
		t.Error("the first image changed")
	}
	if m1.Topic("a") != a1 || m1.Topic("b") != b || m1.TopicByID(a1.ID) != a1 {
		t.Error("the second image is wrong")
	}
	if m2.Topic("a") != a2 || m2.Topic("b") != nil || m2.TopicByID(a1.ID) != nil || m2.TopicByID(a2.ID) != a2 || m2.TopicByID(b.ID) != nil {
		t.Error("the third image is wrong")
	}
	names := ""
	for _, tp := range m1.Topics() {
		names += tp.Name
	}
	if names != "abc" {
		t.Errorf("order: %s", names)
	}
	if m2.Partition(Partition{"c", 0}) == nil || m2.Partition(Partition{"c", 1}) != nil || m2.Partition(Partition{"c", -1}) != nil || m2.Partition(Partition{"x", 0}) != nil {
		t.Error("partitions")
	}
	if m2.Brokers[0].ID != 1 || m2.Broker(2) == nil || m2.Broker(3) != nil {
		t.Error("brokers")
	}
	var s Store
	if s.Load().Controller != NoBroker {
		t.Error("an empty store has no controller")
	}
	s.Publish(m2)
	if s.Load() != m2 {
		t.Error("store")
	}
}
