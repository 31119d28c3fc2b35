// SPDX-License-Identifier: Apache-2.0

// Package load makes the traffic of a benchmark: Produce requests that were
// encoded before the clock started and leave by sendfile from a memory file,
// and Fetch responses that are counted and thrown away in the kernel, every
// 64th apart, which is read and checked. So the generator costs a small part
// of what any broker costs, and says itself how much (Result.CPU).
//
// It speaks Produce v9 and Fetch v12, which Kafka 3.9, Kafka 4.x and Samsa all
// serve. It knows no broker in particular and measures only the client's side;
// what the broker costs is measured by package host.
//
// # Clocks
//
// A closed loop keeps Window requests under way on each connection and measures
// an ack from the moment its request was handed to the kernel. An open loop
// sends at a fixed rate and measures from the moment a request was due,
// whether or not the connection was ready for it: waiting is not left out.
package load
