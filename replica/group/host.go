// SPDX-License-Identifier: Apache-2.0

package group

// Task is work posted to a Home.
type Task = interface{ Run() }

// Home is where an answer is to be delivered: the loop of the asker's connection.
type Home interface{ Post(t Task) }

// Host keeps the groups of one broker: a Machine for every partition of
// __consumer_offsets that the broker leads.
type Host struct {
	partitions func() int32
}

// Ask brings a request to its group; done runs once on home with the answer, of
// the type the request names. A group that this broker does not coordinate is
// refused with ErrNotCoordinator, one still being loaded with ErrLoadInProgress.
func (h *Host) Ask(r Request, home Home, done func(Answer)) {
	home.Post(&delivery{done: done, answer: r.refused(ErrNotCoordinator)})
}

// PartitionFor is the partition of __consumer_offsets that keeps the group, or
// -1 while that topic does not exist.
func (h *Host) PartitionFor(group string) int32 {
	n := h.partitions()
	if n <= 0 {
		return -1
	}
	return PartitionFor(group, n)
}

// delivery carries one answer to its home.
type delivery struct {
	done   func(Answer)
	answer Answer
}

// Run is called on the home.
func (d *delivery) Run() { d.done(d.answer) }
