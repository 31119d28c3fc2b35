// SPDX-License-Identifier: Apache-2.0

// Package meta holds what a cluster knows about itself: brokers, topics,
// partitions and the settings of topics, as immutable values.
//
// An Image is one moment of the cluster. Whoever holds one may read it from any
// goroutine for as long as they like; a change makes a new Image that shares
// what did not change. A Store is the place where the newest one is found.
//
// The package decides nothing and stores nothing: package controller decides
// who leads what, and its edges (controller/zk, controller/embedded) keep the
// result and publish it here.
package meta
