// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"

	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/replica/group"
	"github.com/samsa-broker/samsa/wire/frame"
)

// coded is an error that carries its code: what this package itself finds
// wrong with a request.
type coded struct {
	code frame.ErrorCode
	text string
}

// Error implements error.
func (e *coded) Error() string { return e.text }

// Fail returns an error that Code turns into code, with a message for those
// responses that have room for one.
func Fail(code frame.ErrorCode, text string) error { return &coded{code, text} }

// codes holds one row per failure a lower package can report; the first row
// that matches wins. It is the only place where an error becomes a Kafka code.
var codes = []struct {
	err  error
	code frame.ErrorCode
}{
	{frame.ErrMalformed, frame.InvalidRequest},
	{frame.ErrTooManyPartitions, frame.InvalidRequest},
	{frame.ErrUnsupportedVersion, frame.UnsupportedVersion},

	{replica.ErrNotLeader, frame.NotLeaderOrFollower},
	{replica.ErrUnknownPartition, frame.UnknownTopicOrPartition},
	{replica.ErrFencedEpoch, frame.FencedLeaderEpoch},
	{replica.ErrUnknownEpoch, frame.UnknownLeaderEpoch},
	{replica.ErrStorage, frame.KafkaStorageError},
	{replica.ErrTimedOut, frame.RequestTimedOut},
	{replica.ErrDeleted, frame.UnknownTopicOrPartition},
	{replica.ErrNotEnoughReplicas, frame.NotEnoughReplicas},
	{replica.ErrOffsetNotAvailable, frame.OffsetNotAvailable},
	{replica.ErrPolicyViolation, frame.PolicyViolation},
	{replica.ErrInconsistentTopic, frame.InconsistentTopicID},
	{replica.ErrStaleEpoch, frame.FencedLeaderEpoch},
	{replica.ErrClosed, frame.NotLeaderOrFollower}, // the client looks for the next leader

	{engine.ErrOffsetOutOfRange, frame.OffsetOutOfRange},
	{engine.ErrOutOfOrderSequence, frame.OutOfOrderSequenceNumber},
	{engine.ErrInvalidProducerEpoch, frame.InvalidProducerEpoch},
	{engine.ErrCoordinatorFenced, frame.TransactionCoordinatorFenced},
	{engine.ErrInvalidTxnState, frame.InvalidTxnState},
	{engine.ErrTooLarge, frame.RecordListTooLarge},
	{engine.ErrCorrupt, frame.CorruptMessage},
	{engine.ErrNoSpace, frame.KafkaStorageError},
	{engine.ErrIO, frame.KafkaStorageError},
	{engine.ErrClosed, frame.NotLeaderOrFollower},

	{batch.ErrInvalidTimestamp, frame.InvalidTimestamp},
	{batch.ErrInvalidRecord, frame.InvalidRecord},
	{batch.ErrUnreadable, frame.UnknownServerError}, // as Kafka, which has no name for it
	{batch.ErrShort, frame.CorruptMessage},
	{batch.ErrCorrupt, frame.CorruptMessage},
	{batch.ErrTooLarge, frame.MessageTooLarge},
	{batch.ErrUnsupportedMagic, frame.UnsupportedForMessageFormat},
	{batch.ErrUnsupportedCodec, frame.UnsupportedCompressionType},

	{vfs.ErrNoDirect, frame.KafkaStorageError},
	{vfs.ErrUnsupported, frame.KafkaStorageError},

	{meta.ErrTopicExists, frame.TopicAlreadyExists},
	{meta.ErrUnknownTopic, frame.UnknownTopicOrPartition},
	{meta.ErrUnknownTopicID, frame.UnknownTopicID},
	{meta.ErrInvalidPartitions, frame.InvalidPartitions},
	{meta.ErrInvalidReplicationFactor, frame.InvalidReplicationFactor},
	{meta.ErrInvalidAssignment, frame.InvalidReplicaAssignment},
	{meta.ErrInvalidRequest, frame.InvalidRequest},
	{meta.ErrInvalidConfig, frame.InvalidConfig},
	{meta.ErrDeletionDisabled, frame.TopicDeletionDisabled},
	{meta.ErrStorage, frame.KafkaStorageError},
	{meta.ErrStopped, frame.NotController},
	{meta.ErrTopicID, frame.UnknownTopicID},
	{meta.ErrNoOffset, frame.UnknownTopicOrPartition},
	{meta.ErrGroupPath, frame.UnknownServerError}, // as Kafka, which does not expect that ZooKeeper refuses a name
	{meta.ErrInvalidTopic, frame.InvalidTopicException},

	{config.ErrInvalid, frame.InvalidConfig},

	{group.ErrInvalidGroup, frame.InvalidGroupID},
	{group.ErrInvalidRequest, frame.InvalidRequest},
	{group.ErrNotCoordinator, frame.NotCoordinator},
	{group.ErrCoordinatorNotAvailable, frame.CoordinatorNotAvailable},
	{group.ErrLoadInProgress, frame.CoordinatorLoadInProgress},
	{group.ErrUnknownMember, frame.UnknownMemberID},
	{group.ErrMemberIDRequired, frame.MemberIDRequired},
	{group.ErrFencedInstance, frame.FencedInstanceID},
	{group.ErrIllegalGeneration, frame.IllegalGeneration},
	{group.ErrRebalanceInProgress, frame.RebalanceInProgress},
	{group.ErrInconsistentProtocol, frame.InconsistentGroupProtocol},
	{group.ErrInvalidSessionTimeout, frame.InvalidSessionTimeout},
	{group.ErrMaxSizeReached, frame.GroupMaxSizeReached},
	{group.ErrNonEmpty, frame.NonEmptyGroup},
	{group.ErrGroupNotFound, frame.GroupIDNotFound},
	{group.ErrSubscribed, frame.GroupSubscribedToTopic},
	{group.ErrMetadataTooLarge, frame.OffsetMetadataTooLarge},
	{group.ErrCommitTooLarge, frame.InvalidCommitOffsetSize},
	{group.ErrUnstableOffset, frame.UnstableOffsetCommit},
	{group.ErrWriteFailed, frame.UnknownServerError}, // as Kafka says of a group too large to write
}

// codeOf looks err up in the table. What the table does not know is
// UNKNOWN_SERVER_ERROR, as in Kafka.
func codeOf(err error) frame.ErrorCode {
	if err == nil {
		return frame.None
	}
	for i := range codes {
		if errors.Is(err, codes[i].err) {
			return codes[i].code
		}
	}
	var c *coded
	if errors.As(err, &c) {
		return c.code
	}
	return frame.UnknownServerError
}

// Message returns the text for a response's error_message field: nil when err
// is nil.
func Message(err error) *string {
	if err == nil {
		return nil
	}
	s := err.Error()
	return &s
}
