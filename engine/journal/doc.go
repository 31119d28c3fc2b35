// SPDX-License-Identifier: Apache-2.0

// Package journal is the durable tail of one log directory: what was appended
// to its logs since their segments were last synced, in few large writes.
//
// A Journal is four recycled files of equal size, written as one endless
// stream. Entries are collected in a group in memory; a group is one write with
// RWF_DSYNC, and one write is in flight at a time. While it is, the next group
// fills, so an idle directory acknowledges after one device write and a busy
// one shares it. A Tail is one log's place in the journal: how far its records
// are in a group (Placed) and how far they are on disk (Durable).
//
// A Checkpoint says from where on the journal matters and how far each log's
// segments are synced. It alternates between two slots. Scan reads back what
// stands behind a checkpoint and tells a torn last group, which loses nothing
// that was acknowledged, from damage, which does. The bytes are shown in
// ../FORMAT.md.
//
// The package knows entries, not logs: how a batch gets into a segment, when a
// checkpoint is due and what replay does to a log is decided by package dir.
//
// # Durability
//
// Durable moves only after the write that holds the records, and every earlier
// one, has reached the device. A write that failed with anything but a lack of
// space breaks the journal for good: it is never retried as if it had worked.
//
// # Ownership
//
// Place and its kin are called by the holder of the log's turn, one at a time
// per Tail, any number of Tails at once. They copy, take no lock and allocate
// nothing. Completions may run on any goroutine.
package journal
