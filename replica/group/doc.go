// SPDX-License-Identifier: Apache-2.0

// Package group is the coordinator of classic consumer groups: who is a member
// of which group, which generation is current, and how far each group has
// committed. It behaves as the classic coordinator of Kafka 3.9 does and keeps
// its state in Kafka's own records in __consumer_offsets.
//
// A Machine holds the groups of one partition of that topic. It is a pure
// function of its events: it reads no clock, starts no goroutine, draws no
// random number and emits the same effects in the same order for the same
// events. What it wants written is an Append effect; the Written event tells it
// how that went. An answer whose truth depends on a record leaves only when the
// record is visible.
//
// A Host runs the machines of a broker: it maps a group to its partition, loads
// a machine from the partition's log when the broker starts leading it, steps
// it in the partition's turns, and posts answers to the home of whoever asked.
//
// The package knows nothing of protocol versions, error codes or sockets. It
// does not look inside assignments, and into subscriptions only to learn the
// topics of groups of protocol type "consumer".
//
// # Ownership
//
// A Machine is stepped by one goroutine at a time, the holder of its
// partition's turn. Slices handed in with a request belong to the machine from
// then on; slices in an answer are read-only for the one who asked. The methods
// of Host may be called by any goroutine.
package group
