// SPDX-License-Identifier: Apache-2.0

// Package embedded is the controller's edge for a broker that stands alone: it
// runs the same machine as a cluster does, over one local file instead of
// ZooKeeper.
//
// An Edge takes what operators and clients ask for (topics, partitions,
// settings, producer ids), lets controller.Machine decide, writes the decision,
// and only then tells the replicas through the interface Replicas and publishes
// a new meta.Image. Its methods block, are called from ordinary goroutines, and
// return after the store wrote and the replicas answered.
//
// # The file
//
// samsa.meta lies in the first log directory and is looked for in all of them.
// It is a bbolt database with two buckets:
//
//	znodes   path -> node     Kafka's tree in ZooKeeper, same paths, same JSON
//	samsa    key  -> bytes    what Kafka has no place for
//
// A node is, big-endian:
//
//	format u8 = 1 | flags u8 | version i32 | czxid i64 | mzxid i64 | ctime i64 | mtime i64 | data
//
// flags: 1 the data is null (not the same as empty), 2 ephemeral: belongs to
// one run of the broker and is dropped by the next. version counts the changes
// of the data, as ZooKeeper does; for a partition's state it is the partition
// epoch. czxid and mzxid are the numbers of the transactions that created and
// last changed the node; the bucket's sequence counts them. Times are
// milliseconds since 1970.
//
// The bucket samsa holds
//
//	store            16 random bytes: the identity that journals refer to
//	adopted/TOPIC    the topic was found on disk, nobody has set its config
//	creating/TOPIC   u32: partitions from here on may not have a log yet
//
// # A start
//
// Open finds the store; its identity, the cluster id and the image of what is
// stored are there from then on, so that log directories can be opened and logs
// be loaded with their settings. Adopt compares the logs with the store; by
// then it is known whether another broker ran (its clean-shutdown mark, or a log
// that says so once loaded), and each log's last epoch where that matters: with
// a new store, or after another broker. What Adopt says was being deleted is
// removed, the directories replay their journals, and Start raises every leader
// epoch and begins to lead.
//
// # Durability
//
// A decision, however many topics it is about, is one bbolt transaction, which
// is on disk (fdatasync) before anything follows from it. A new file is made
// under another name and renamed, so a broker never sees half of one. Where the
// disk is full the decision is refused and the store goes on; after any other
// error of the file the edge refuses every further decision until it is opened
// again.
//
// # Differences to ZooKeeper
//
// Offsets that clients commit in version 0 lie below /consumers as in Kafka's
// tree, and only in the file: the tree is not kept in memory. Their paths have
// at most 32 KiB and 32 nodes, and 192 KiB as the product of the two.
//
// Nobody else watches this tree, so no change notifications are written.
// Producer ids of a new store begin at a random high number rather than 0,
// because logs that another broker wrote may know the low ones.
package embedded
