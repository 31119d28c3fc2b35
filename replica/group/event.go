// SPDX-License-Identifier: Apache-2.0

package group

// Ticket names one request between the one who asks and the answer. The asker
// chooses it; it is unique among the requests of one machine that still wait.
type Ticket uint64

// Token names one Append between the effect and the Written event. Tokens of a
// machine rise.
type Token uint64

// Event is what a Machine is stepped with: Asked, Tick, Written, TopicsDeleted or Resigned.
type Event interface{ event() }

// Asked brings a request. Its answer is a Reply of this or of a later step.
type Asked struct {
	To      Ticket
	Request Request
}

// Tick lets time pass: sessions, rebalances and offsets that are due expire.
type Tick struct{}

// Written tells what became of an Append. With Err nil its records are visible:
// they will be there when the log is loaded again. Else none of them is, as far
// as can be known. Tokens come back in the order in which they were given.
type Written struct {
	Token Token
	Err   error
}

// TopicsDeleted drops the offsets of topics that are gone.
type TopicsDeleted struct{ Topics []string }

// Resigned ends the machine: another leader has the partition. Everyone who
// still waits is answered with ErrNotCoordinator.
type Resigned struct{}

func (Asked) event()         {}
func (Tick) event()          {}
func (Written) event()       {}
func (TopicsDeleted) event() {}
func (Resigned) event()      {}

// Effect is what a step wants done: Reply or Append, to be carried out in order.
type Effect interface{ effect() }

// Reply answers a request, once.
type Reply struct {
	To     Ticket
	Answer Answer
}

// Append writes records, all in one batch, to the partition of the machine.
type Append struct {
	Token   Token
	Records []Record
}

func (Reply) effect()  {}
func (Append) effect() {}

// Record is one record of __consumer_offsets. Value nil is a tombstone.
type Record struct{ Key, Value []byte }
