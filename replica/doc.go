// SPDX-License-Identifier: Apache-2.0

// Package replica keeps this broker's replicas of partitions: it decides what
// may be appended to a log, how far a reader may see, and when a waiter is told.
//
// A Set is the broker's collection. A Partition is one replica: its log, its
// leadership (epoch, in-sync replicas), its high watermark and those who wait
// for it. Protocol, sockets and ZooKeeper are unknown here; what enters is
// bytes that passed batch.Check, what leaves are offsets, spans and sentinels.
//
// # Turns
//
// A partition has turns, not an owner. Operations stand in a lock-free
// intrusive queue; who pushes onto an idle partition has taken the turn and
// drains it, and queued appends become one write of the log and one copy into
// the journal. A turn never waits: it ends drained, out of budget (64
// operations or 1 MiB: the rest goes through the partition's home loop), or
// parked (file work runs on the pool while the partition stays busy). Turns of
// a slow directory are drained by that directory's writer goroutine. Only
// loops, that writer and a parked turn's pool goroutine touch a Log; anybody
// else pushes and lets the home loop drain.
//
// # What is promised
//
// Completions (Placed, Done, Wake) are posted to the caller's Home, each
// exactly once, never run on the stack of who pushed. An append is answered
// with acks=0 when the log has it, with acks=1 when this replica's durable end
// covers it, with acks=-1 when the high watermark does; a duplicate when its
// original would be. The high watermark never falls while this replica leads,
// and no reader sees a byte above it.
//
// # Ownership
//
// Requests (AppendRequest, ReadRequest, Entry) are the caller's and hold the
// nodes of every queue they stand in. They must not be moved, changed or
// reused before their last completion. In steady state nothing is allocated.
package replica
