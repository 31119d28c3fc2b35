// SPDX-License-Identifier: Apache-2.0

package api

import (
	"testing"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// FuzzSessions: whatever clients do with their fetch sessions, the books agree:
// each session counts its partitions and has them in one list, the cache counts
// those of all and stays within its bounds.
func FuzzSessions(tf *testing.F) {
	f := hostiletest.New(tf)
	f.Add([]byte{0, 3, 0, 1, 1, 1, 1, 2, 2, 2, 1, 3, 3, 0, 9, 4, 255, 0, 5, 1})
	f.Add([]byte{0, 200, 0, 0, 200, 0, 4, 255, 255, 4, 255, 255, 0, 255, 1, 1, 1, 1, 5, 0, 1, 1, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var c sessions
		c.init(3)
		now, last := int64(0), int32(0)
		for len(ops) >= 3 {
			op, a, b := ops[0]%6, ops[1], ops[2]
			ops = ops[3:]
			name, id := []byte{a % 8}, [16]byte{a % 8}
			s := c.byID[last]
			switch {
			case op == 0:
				if n := c.create(int(a)*int(b), int(a)<<(b%16), b%2 == 0, now); n != nil {
					last = n.id
				}
			case op == 4:
				now += int64(a) << (b % 12)
			case op == 5:
				for other := range c.byID {
					last = max(last, other)
				}
				c.find(last, now)
			case s == nil:
			case op == 1:
				s.put(name, id, int32(int8(b)))
			case op == 2:
				s.forget(name, id, int32(int8(b)))
			case op == 3:
				c.resize(s, s.size+int(a)<<(b%16), s.bytes+int(b)<<(a%16))
			}
			checkSessions(t, &c)
		}
	})
}

func checkSessions(t *testing.T, c *sessions) {
	t.Helper()
	held, bytes := 0, 0
	for id, s := range c.byID {
		held += s.held
		bytes += s.heldBytes
		n, parts := 0, 0
		for p, prev := s.head, (*sessionPart)(nil); p != nil; p, prev = p.next, p {
			if p.prev != prev || p.topic.parts[p.index] != p {
				t.Fatalf("session %d: the list is broken at %d", id, p.index)
			}
			n++
		}
		for _, topic := range s.names {
			parts += len(topic.parts)
		}
		for _, topic := range s.ids {
			parts += len(topic.parts)
		}
		if n != s.size || parts != s.size {
			t.Fatalf("session %d: %d partitions, %d in the list, %d by name", id, s.size, n, parts)
		}
	}
	if held != c.parts || bytes != c.bytes || bytes > sessionBytes || len(c.byID) > c.slots {
		t.Fatalf("%d sessions with %d partitions and %d bytes, counted %d and %d", len(c.byID), held, bytes, c.parts, c.bytes)
	}
}
