// SPDX-License-Identifier: Apache-2.0

// Package server carries Kafka requests from connections to handlers and
// replies back: framing, order, memory, and nothing of what a request means.
//
// # A connection
//
// It lives on one loop, as a conn of that loop's lane. Frames are taken in
// place from the loop's receive buffers; one that arrives in pieces is put
// together in a slab, one larger than a receive buffer in memory of its own
// size, reserved from the broker's budget in the order of asking.
//
// # Order
//
// A Produce starts when every earlier Produce is placed and everything else
// before it has finished; any other request starts when everything before it
// has finished. Replies leave in request order.
//
// # Memory
//
// What peers may make the server hold is bounded before they are known: bytes
// per connection, bytes per address, bytes for the broker, requests in line,
// replies not yet read. Past a bound the connection is not read from; nothing
// is ever sized by a length a peer merely claimed. A parked request holds no
// frame memory.
//
// # Threads
//
// Everything of a lane belongs to its loop. Budgets and counters that lanes
// share have a mutex each and are touched for large frames, control requests
// and connections coming and going, never for a small Produce or Fetch.
package server
