// SPDX-License-Identifier: Apache-2.0

package group

import "errors"

// Refusals a client sees. Each stands for the Kafka error of the same meaning;
// the codes are given where requests are answered, not here.
var (
	// ErrInvalidGroup: an empty group id where one is needed.
	ErrInvalidGroup = errors.New("group: invalid group id")
	// ErrInvalidRequest: a name in the request is longer than a record can hold.
	ErrInvalidRequest = errors.New("group: invalid request")
	// ErrNotCoordinator: this broker does not lead the partition of the group.
	ErrNotCoordinator = errors.New("group: not the coordinator of the group")
	// ErrCoordinatorNotAvailable: the coordinator cannot serve the group now; find it again and retry.
	ErrCoordinatorNotAvailable = errors.New("group: coordinator not available")
	// ErrLoadInProgress: the partition of the group is still being read.
	ErrLoadInProgress = errors.New("group: coordinator load in progress")
	// ErrUnknownMember: the member id is not in the group.
	ErrUnknownMember = errors.New("group: unknown member id")
	// ErrMemberIDRequired: join again with the member id in the answer (KIP-394).
	ErrMemberIDRequired = errors.New("group: member id required")
	// ErrFencedInstance: another member took over this group.instance.id (KIP-345).
	ErrFencedInstance = errors.New("group: fenced instance id")
	// ErrIllegalGeneration: the generation is not the group's current one.
	ErrIllegalGeneration = errors.New("group: illegal generation")
	// ErrRebalanceInProgress: the group is between generations; join again.
	ErrRebalanceInProgress = errors.New("group: rebalance in progress")
	// ErrInconsistentProtocol: protocol type or protocols do not fit the group's members.
	ErrInconsistentProtocol = errors.New("group: inconsistent group protocol")
	// ErrInvalidSessionTimeout: outside group.min.session.timeout.ms and group.max.session.timeout.ms.
	ErrInvalidSessionTimeout = errors.New("group: invalid session timeout")
	// ErrMaxSizeReached: the group already has group.max.size members.
	ErrMaxSizeReached = errors.New("group: max size reached")
	// ErrNonEmpty: the group has members, or may still have.
	ErrNonEmpty = errors.New("group: not empty")
	// ErrGroupNotFound: no group of that id.
	ErrGroupNotFound = errors.New("group: group id not found")
	// ErrSubscribed: an offset cannot be deleted while a member subscribes to its topic.
	ErrSubscribed = errors.New("group: subscribed to topic")
	// ErrMetadataTooLarge: the metadata of an offset is longer than offset.metadata.max.bytes.
	ErrMetadataTooLarge = errors.New("group: offset metadata too large")
	// ErrCommitTooLarge: the offsets of one commit do not fit one record batch.
	ErrCommitTooLarge = errors.New("group: commit too large")
	// ErrUnstableOffset: a commit of this offset is still under way (KIP-447).
	ErrUnstableOffset = errors.New("group: unstable offset commit")
	// ErrWriteFailed: the record could not be written for a reason that retrying will not mend.
	ErrWriteFailed = errors.New("group: write failed")
)
