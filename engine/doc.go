// SPDX-License-Identifier: Apache-2.0

// Package engine keeps the record log of one partition replica on local disk,
// in the files Apache Kafka 3.9 keeps it in.
//
// A Log is a directory of segments. A segment holds record batches exactly as
// the producer encoded them, except for two header fields the engine fills in:
// base offset and leader epoch. Two sparse indexes map offsets and timestamps
// to file positions; both can be rebuilt from the segment alone. Beside them
// stand the index of aborted transactions, snapshots of producer state and the
// leader epochs.
//
// It knows nothing of topics, leadership, in-sync replicas, the high watermark
// or clients: package replica decides what may be appended and how far a
// reader may see.
//
// # Appending
//
// Stage checks an append and gives it its offsets; Write hands everything
// staged to the file system in one call. Producer state moves with Stage and
// moves back for what Write could not place whole.
//
// # Durability
//
// Write makes records readable, not durable. Flush makes durable what was
// written before it, and SyncedEnd says how far that goes. Open recovers after
// a crash by keeping the longest intact prefix; what lies below the recovery
// point it is told is taken as intact and not read.
//
// # Ownership
//
// The methods that change a Log are called by one goroutine at a time, the
// holder of its partition's turn; they take no locks. Those said to be for any
// goroutine may be called beside them: View returns an immutable picture and
// the ends are atomics that move after what they cover. A Span pins its
// segment until released, so retention cannot close a file under a transfer.
package engine
