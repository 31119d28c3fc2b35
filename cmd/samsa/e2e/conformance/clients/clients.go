// SPDX-License-Identifier: Apache-2.0

// Package clients runs the stock clients of every language against the built
// samsa binary.
//
// Each client has a small program in a folder of ../peers that plays the same
// story: create a topic, produce with one codec, read everything, read in a
// group and go on where the group stopped, rewind, share partitions. It prints
// each record that it read; the tests hold that against what franz-go and kcat
// read from the same places. So every client's records are read by the others
// and every client reads what another one wrote.
//
// The tests are behind the build tag conformance; docs/clients.md says what
// each client has shown.
package clients
