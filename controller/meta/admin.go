// SPDX-License-Identifier: Apache-2.0

package meta

import "errors"

// What an operator can ask wrongly. The edges wrap them with the operands.
var (
	ErrTopicExists              = errors.New("meta: topic exists already")
	ErrUnknownTopic             = errors.New("meta: no such topic")
	ErrUnknownTopicID           = errors.New("meta: no topic has this id")
	ErrInvalidPartitions        = errors.New("meta: invalid number of partitions")
	ErrInvalidReplicationFactor = errors.New("meta: invalid replication factor")
	ErrInvalidAssignment        = errors.New("meta: invalid replica assignment")
	ErrInvalidRequest           = errors.New("meta: invalid request")
	ErrInvalidConfig            = errors.New("meta: invalid configuration")
	ErrDeletionDisabled         = errors.New("meta: delete.topic.enable is false")
	ErrStorage                  = errors.New("meta: the store or a log directory failed")
	ErrStopped                  = errors.New("meta: the controller is not running")
)

// NewTopic asks for a topic.
type NewTopic struct {
	Name              string
	Partitions        int32                // -1: the broker's num.partitions, or what Assignment says
	ReplicationFactor int16                // -1: the broker's default.replication.factor, or what Assignment says
	Assignment        map[int32][]BrokerID // partition -> replicas, the first one preferred; nil: the controller chooses
	Config            map[string]string    // valid, or ConfigFault says what is not
	// Fault and ConfigFault are what its reader found wrong already. The first is
	// told unless the topic exists, the second when nothing else is wrong: of
	// several faults Kafka names these in this order.
	Fault, ConfigFault error
}

// NewPartitions asks for a topic to have more partitions.
type NewPartitions struct {
	Topic      string
	Count      int32        // partitions the topic shall have, old ones included
	Assignment [][]BrokerID // of the new ones, in order; nil: the controller chooses
}

// TopicRef names a topic by its id when there is one, else by its name.
type TopicRef struct {
	Name string
	ID   TopicID
}

// TopicResult is the answer for one topic.
type TopicResult struct {
	Topic *Topic // as it is now, or would be (validate only); as it was, when deleted; nil on most errors
	Err   error  // wraps one of the errors above
}
