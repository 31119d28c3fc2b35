// SPDX-License-Identifier: Apache-2.0

// Package dir keeps one log.dirs entry: the lock, meta.properties, the
// checkpoints and the clean-shutdown mark that Kafka keeps there, and beside
// them the journal, its checkpoint, the directory's own goroutines and its
// fence. It opens, makes and removes the logs in it.
//
// Kafka opens a directory that a Dir closed, and a Dir opens one that Kafka
// left; what is private to us are plain files named samsa.*, which Kafka
// passes over.
//
// It knows nothing of leadership, high watermarks (it stores those it is told)
// or clients.
//
// # Durability
//
// A Log's DurableEnd says how far its records survive a power cut: by default
// because the journal holds them, with Durability Kafka because Kafka would
// say so. Open, Load and Start bring back everything below it, or fail naming
// what is missing. An I/O error fences the directory: nothing written after it
// is called durable. A full disk does not fence.
//
// # Ownership
//
// The methods of a Log that change it are called by the holder of its
// partition's turn, one at a time. Stage and Write may be called on an event
// loop: they do not wait for the disk beyond the write itself. TruncateTo,
// Reset, TrimTo, Sync and Close wait for the journal and must be called on an
// ordinary goroutine: a loop that carries the journal would wait for itself.
// The methods of Dir may be called by any goroutine; Reserve, Slow and Go never
// block.
package dir
