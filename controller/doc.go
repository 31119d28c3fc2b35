// SPDX-License-Identifier: Apache-2.0

// Package controller decides who leads what.
//
// A Machine is told what happened (a broker came or went, a topic was added or
// marked for deletion, a write was accepted) and answers what must be done:
// states to write, brokers to tell, replicas to stop. It has no clock, no
// store, no socket and no goroutine. An edge carries the effects out and feeds
// the results back as events: controller/embedded over one local file,
// controller/zk over ZooKeeper.
//
// # Order
//
// What is announced was written first. A decision about a partition leaves as
// WriteState; only the StateWritten that comes back turns into an Announce.
// While a write of a partition is under way nothing else is written for it:
// what happens meanwhile is considered when the answer is there. A topic's
// nodes are removed after every replica said that its log is gone, never
// before: a broker that comes back late would bring the directory back to life.
//
// # Epochs
//
// Every change of leader or in-sync replicas by the controller raises the
// partition's leader epoch by one, and so does every new incarnation of a
// leading broker. The partition epoch is the data version of the state's node.
//
// The package also holds what both edges share of Kafka's layout in ZooKeeper:
// paths and JSON (znode.go), and the rules of Kafka's admin requests
// (admin.go).
package controller
