// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"
)

// The cache holds as many sessions as it has slots; the one longest unused
// makes room once that is long, else a smaller one that has lived a while.
func TestSessionEviction(t *testing.T) {
	var c sessions
	c.init(2)
	a := c.create(10, 0, false, 0)
	b := c.create(5, 0, false, 0)
	if a == nil || b == nil || c.create(100, 0, false, 1000) != nil {
		t.Fatal("two slots, no reason yet to evict")
	}
	c.find(a.id, sessionEvictMs+1) // both have lived a while now
	c.find(b.id, sessionEvictMs+1)
	if c.create(5, 0, false, sessionEvictMs+2) != nil {
		t.Error("one no larger than the smallest got in")
	}
	d := c.create(6, 0, false, sessionEvictMs+2)
	if d == nil || c.find(b.id, 0) != nil || c.find(a.id, sessionEvictMs+3) == nil {
		t.Error("a larger one takes the place of the smallest")
	}
	e := c.create(1, 0, false, 3*sessionEvictMs)
	if e == nil || c.find(d.id, 0) != nil {
		t.Error("one unused for long makes room for anybody, the longest first")
	}
	if c.parts != a.held+e.held {
		t.Errorf("%d partitions counted", c.parts)
	}
}

// The partitions all sessions remember are bounded, whatever the slots.
func TestSessionsRememberABoundedNumber(t *testing.T) {
	var c sessions
	c.init(10)
	s := c.create(sessionParts-10, 0, false, 0)
	if c.create(11, 0, false, 1) != nil {
		t.Error("more than the bound")
	}
	small := c.create(10, 0, false, 1)
	if small == nil || c.resize(small, 11, 0) || c.find(small.id, 1) != nil {
		t.Error("a session grew beyond the bound")
	}
	if !c.resize(s, 5, 0) || c.parts != 5 {
		t.Errorf("%d partitions counted", c.parts)
	}
}

// The names of their topics are bounded, too: sessions of few partitions with
// names of 32 KiB would otherwise hold gigabytes.
func TestSessionsRememberBoundedNames(t *testing.T) {
	var c sessions
	c.init(1000)
	stale := c.create(1, 1000, false, 0)
	if c.create(1, sessionBytes+1, false, 3*sessionEvictMs) != nil || c.find(stale.id, 0) == nil {
		t.Error("one that can never fit got in, or cost another its place")
	}
	name := []byte(strings.Repeat("n", 32<<10))
	s := c.create(1, topicBytes(name), false, 1)
	s.put(name, [16]byte{}, 0)
	if s.put(name, [16]byte{}, 1); s.bytes != topicBytes(name) {
		t.Errorf("a topic takes %d, counted %d", topicBytes(name), s.bytes)
	}
	if !c.resize(s, 2, s.bytes) || c.bytes != 1000+topicBytes(name) {
		t.Errorf("%d bytes counted", c.bytes)
	}
	n := 0
	for c.create(1, topicBytes(name), false, 2) != nil {
		n++
	}
	if c.bytes > sessionBytes || n > sessionBytes/topicBytes(name) {
		t.Errorf("%d sessions, %d bytes", n, c.bytes)
	}
	if c.resize(s, 2, sessionBytes) || c.find(s.id, 2) != nil {
		t.Error("a session grew beyond the bound")
	}
	s = &session{names: map[string]*sessionTopic{}}
	s.put(name, [16]byte{}, 0)
	if s.forget(name, [16]byte{}, 0); s.bytes != 0 {
		t.Errorf("%d bytes after the last partition", s.bytes)
	}
}

// A session keeps its partitions in order, moves one to the end and forgets
// topics with their last partition.
func TestSessionOrder(t *testing.T) {
	var c sessions
	c.init(1)
	s := c.create(0, 0, false, 0)
	for _, id := range []string{"a", "b"} {
		for i := range int32(2) {
			s.put([]byte(id), [16]byte{}, i)
		}
	}
	order := func() (out string) {
		for p := s.head; p != nil; p = p.next {
			out += fmt.Sprintf("%s%d ", p.topic.name, p.index)
		}
		return out
	}
	if s.put([]byte("a"), [16]byte{}, 1); s.size != 4 || order() != "a0 a1 b0 b1 " {
		t.Fatalf("%d: %s", s.size, order())
	}
	p := s.find([]byte("a"), [16]byte{}, 0)
	s.unlink(p)
	s.push(p)
	s.forget([]byte("b"), [16]byte{}, 0)
	s.forget([]byte("b"), [16]byte{}, 1)
	s.forget([]byte("c"), [16]byte{}, 1)
	if s.size != 2 || order() != "a1 a0 " || len(s.names) != 1 {
		t.Fatalf("%d: %s %d", s.size, order(), len(s.names))
	}
}
