// SPDX-License-Identifier: Apache-2.0

// Package story is what the Go clients' programs share: the arguments, the
// records, the lines that the conformance test reads.
//
// Each program is called as PROGRAM BOOTSTRAP TOPIC CODEC COUNT. It prints
// "step NAME" for what it has shown, one line for every record that it read
// from TOPIC ("out") and from TOPIC-in ("in"), which another client filled,
// and "done VERSION".
package story

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Partitions is how many partitions a topic has.
const Partitions = 3

// The arguments.
var (
	Addr, Topic, Codec = os.Args[1], os.Args[2], os.Args[3]
	Count              = must(strconv.Atoi(os.Args[4]))
)

// Deadline ends a program that would wait for ever.
var Deadline = time.AfterFunc(100*time.Second, func() { Fail("too late") })

func must(n int, err error) int {
	if err != nil {
		Fail(err)
	}
	return n
}

// Key is the key of record i.
func Key(i int) []byte { return fmt.Appendf(nil, "key-%d", i%17) }

// Value is the value of record i.
func Value(i int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%s %d ", Codec, i), 20+i%30))
}

// Stamp is the timestamp of record i.
func Stamp(i int) time.Time { return time.UnixMilli(1700000000000 + int64(i)) }

// Header is the value of the header h of record i.
func Header(i int) []byte { return []byte(strconv.Itoa(i)) }

// Fail ends the program.
func Fail(what ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"FAILED:"}, what...)...)
	os.Exit(1)
}

// OK ends the program when there is an error.
func OK(err error) {
	if err != nil {
		Fail(err)
	}
}

// Check ends the program when a condition does not hold.
func Check(condition bool, what ...any) {
	if !condition {
		Fail(what...)
	}
}

// Step says what has been shown.
func Step(name string) { fmt.Println("step", name) }

// Done is the last line: the version of the module under test.
func Done(module string) {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == module {
			fmt.Println("done", m.Version)
			return
		}
	}
	Fail("no module", module)
}

// Place is where a record stands.
type Place struct{ Partition, Offset int64 }

// Placed are the places that a producer was told, with the record's number.
type Placed struct {
	mu sync.Mutex
	at map[Place]int
}

// Put notes a place.
func (p *Placed) Put(partition int32, offset int64, i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = map[Place]int{}
	}
	p.at[Place{int64(partition), offset}] = i
}

// All checks that every record has a place of its own.
func (p *Placed) All() { Check(len(p.at) == Count, "places told:", len(p.at)) }

// First is a partition that has records.
func (p *Placed) First() int32 {
	first := int64(Partitions)
	for at := range p.at {
		first = min(first, at.Partition)
	}
	return int32(first)
}

// Half is the timestamp in the middle and the first offset of a partition at it or behind.
func (p *Placed) Half(partition int32) (stamp time.Time, offset int64) {
	offset = int64(Count)
	for at, i := range p.at {
		if at.Partition == int64(partition) && i >= Count/2 {
			offset = min(offset, at.Offset)
		}
	}
	return Stamp(Count / 2), offset
}

// Record prints a record that was read; one of the program's own must be what it sent.
func (p *Placed) Record(kind string, partition int32, offset int64, stamp time.Time, key, value []byte, header string, headerValue []byte) {
	fmt.Println(kind, partition, offset, stamp.UnixMilli(), string(key), fmt.Sprintf("%x", sha256.Sum256(value)), header+"="+string(headerValue))
	if kind == "out" {
		i, ok := p.at[Place{int64(partition), offset}]
		Check(ok && string(value) == string(Value(i)) && string(key) == string(Key(i)), "not what was sent:", partition, offset)
	}
}

// Resumed checks that the second member of a group went on where the first had
// committed: nothing twice, nothing missing.
func Resumed(first, second []Place) {
	all := map[Place]bool{}
	for _, p := range append(append([]Place{}, first...), second...) {
		all[p] = true
	}
	Check(len(first) > 0 && len(first) < Count, "the first member read", len(first), "of", Count)
	Check(len(all) == Count && len(first)+len(second) == Count, "read", len(first), "and", len(second), "of", Count, "places:", len(all))
}

// Client is what a client's program does itself.
type Client struct {
	Produce func() *Placed
	ReadAll func(kind, topic string, placed *Placed)
	Member  func(want int) []Place // of a group: it reads so many records, commits and leaves
	Rewind  func(placed *Placed)   // by offset and by timestamp
	Share   func() Sharer          // joins another group
}

// Sharer is a member of a group that is asked how many partitions it has.
type Sharer interface {
	Owned() int
	Leave()
}

// Tell runs a client's program; module is the client's.
func Tell(module string, c Client) {
	placed := c.Produce()
	c.ReadAll("out", Topic, placed)
	c.ReadAll("in", Topic+"-in", placed)
	Step("consume")
	first := c.Member(Count / 2)
	Resumed(first, c.Member(Count-len(first)))
	Step("group")
	c.Rewind(placed)
	a, b := c.Share(), c.Share()
	Until(func() bool { m, n := a.Owned(), b.Owned(); return m > 0 && n > 0 && m+n == Partitions })
	b.Leave()
	Until(func() bool { return a.Owned() == Partitions })
	a.Leave()
	Step("share")
	Done(module)
}

// Until polls a condition.
func Until(condition func() bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		<-tick.C
	}
}
