// SPDX-License-Identifier: Apache-2.0

package replica

import "errors"

// Why a partition did not do what was asked. Errors of package engine
// (sequences, sizes, offsets) come through as they are.
var (
	// ErrNotLeader: this broker has the partition but does not lead it (any more).
	ErrNotLeader = errors.New("replica: not the leader")
	// ErrUnknownPartition: this broker has no such partition.
	ErrUnknownPartition = errors.New("replica: unknown partition")
	// ErrFencedEpoch: the caller's leader epoch is older than the partition's.
	ErrFencedEpoch = errors.New("replica: fenced leader epoch")
	// ErrUnknownEpoch: the caller's leader epoch is newer than the partition's.
	ErrUnknownEpoch = errors.New("replica: unknown leader epoch")
	// ErrStorage: the log directory is fenced, or had no room for this append.
	ErrStorage = errors.New("replica: storage error")
	// ErrTimedOut: the in-sync replicas did not have the append in time. It stays in the log.
	ErrTimedOut = errors.New("replica: timed out")
	// ErrDeleted: the partition was deleted.
	ErrDeleted = errors.New("replica: partition deleted")
	// ErrNotEnoughReplicas: fewer in sync than min.insync.replicas; nothing was appended.
	ErrNotEnoughReplicas = errors.New("replica: not enough in-sync replicas")
	// ErrOffsetNotAvailable: the high watermark has not reached the start of this leader's epoch (KIP-207).
	ErrOffsetNotAvailable = errors.New("replica: offset not available yet")
	// ErrPolicyViolation: DeleteRecords on a log whose cleanup.policy lacks delete.
	ErrPolicyViolation = errors.New("replica: cleanup.policy does not contain delete")
	// ErrInconsistentTopic: the log on disk, or the partition here, belongs to another topic of that name.
	ErrInconsistentTopic = errors.New("replica: inconsistent topic id")
	// ErrStaleEpoch: a leadership no newer than the one that stands.
	ErrStaleEpoch = errors.New("replica: stale leader epoch")
	// ErrClosed: the Set is closing.
	ErrClosed = errors.New("replica: closed")
)
