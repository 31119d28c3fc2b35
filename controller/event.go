// SPDX-License-Identifier: Apache-2.0

package controller

import "github.com/samsa-broker/samsa/controller/meta"

// Event is something that happened.
type Event interface{ event() }

// Loaded is the whole stored picture; the machine forgets what it knew. Live
// are the brokers whose present incarnation the states belong to (none when the
// controller starts together with its only broker).
type Loaded struct {
	ControllerEpoch int32
	Live            []BrokerStarted
	Topics          []LoadedTopic
}

// LoadedTopic is one stored topic.
type LoadedTopic struct {
	Name       string
	ID         meta.TopicID
	Deleting   bool // its deletion is marked
	Partitions []LoadedPartition
}

// LoadedPartition is one stored partition.
type LoadedPartition struct {
	Replicas []meta.BrokerID
	State    *State // nil: never written
	Version  int32  // data version of the state's node
}

// BrokerStarted tells of a live broker. Epoch is the czxid of its registration;
// a larger one for a live broker is a restart that nobody saw go.
type BrokerStarted struct {
	Broker meta.BrokerID
	Epoch  int64
}

// BrokerFailed tells that a broker's registration is gone.
type BrokerFailed struct{ Broker meta.BrokerID }

// TopicAdded tells of a topic whose node has been (or, on the embedded edge, is
// being) written. Replicas[i] are those of partition i.
type TopicAdded struct {
	Name     string
	ID       meta.TopicID
	Replicas [][]meta.BrokerID
}

// PartitionsAdded tells of further partitions, which follow the present ones.
type PartitionsAdded struct {
	Topic    string
	Replicas [][]meta.BrokerID
}

// StateWritten is the answer to WriteState: accepted, with the new data version.
type StateWritten struct {
	Partition meta.Partition
	Version   int32
}

// StateRefused is the other answer to WriteState: the version was not the
// expected one, and this is what stands there.
type StateRefused struct {
	Partition meta.Partition
	State     State
	Version   int32
}

// ReplicaFailed tells that a broker cannot serve its replica: its log directory
// is offline.
type ReplicaFailed struct {
	Partition meta.Partition
	Broker    meta.BrokerID
}

// DeletionMarked tells that the deletion of a topic is written down, for the
// first time or again.
type DeletionMarked struct{ Topic string }

// ReplicaDeleted is the answer to a StopReplica with Delete.
type ReplicaDeleted struct {
	Partition meta.Partition
	Broker    meta.BrokerID
	Failed    bool // the log is still there
}

// TopicRemoved is the answer to RemoveTopic: its nodes are gone.
type TopicRemoved struct{ Topic string }

func (Loaded) event()          {}
func (BrokerStarted) event()   {}
func (BrokerFailed) event()    {}
func (TopicAdded) event()      {}
func (PartitionsAdded) event() {}
func (StateWritten) event()    {}
func (StateRefused) event()    {}
func (ReplicaFailed) event()   {}
func (DeletionMarked) event()  {}
func (ReplicaDeleted) event()  {}
func (TopicRemoved) event()    {}

// Effect is something that must be done.
type Effect interface{ effect() }

// WriteState stores a partition's state if its node has the given data version;
// -1 creates the node. Answered by StateWritten or StateRefused.
type WriteState struct {
	Partition meta.Partition
	State     State
	IfVersion int32
}

// Announce tells the replicas in To who leads (LeaderAndIsr), and every live
// broker for its metadata (UpdateMetadata). What it says has been written.
type Announce struct {
	Partition meta.Partition
	TopicID   meta.TopicID
	State     State
	Version   int32
	Replicas  []meta.BrokerID
	To        []meta.BrokerID
	New       bool // the partition was created by this write
}

// Forget tells every live broker that a topic is going (UpdateMetadata with
// leader -2).
type Forget struct{ Topic string }

// StopReplica tells one broker to stop a replica and, if Delete, to remove its
// log, which is answered by ReplicaDeleted.
type StopReplica struct {
	To        meta.BrokerID
	Partition meta.Partition
	Delete    bool
}

// RemoveTopic removes the nodes of a topic whose replicas are all gone: first
// the topic's own, then its config, last the mark of its deletion.
type RemoveTopic struct{ Topic string }

func (WriteState) effect()  {}
func (Announce) effect()    {}
func (Forget) effect()      {}
func (StopReplica) effect() {}
func (RemoveTopic) effect() {}
