// SPDX-License-Identifier: Apache-2.0

package group

// Request is something a client asks of one group: a *Join, *Sync, *Heartbeat,
// *Leave, *Commit, *Fetch, *DeleteOffsets, *Describe, *Delete, or, of all
// groups, a *List.
type Request interface {
	// GroupID is the group asked for; empty for *List.
	GroupID() string
	// refused is the answer of a request that met err before it reached its group.
	refused(err error) Answer
}

// Answer is what a Request is answered with: each request type names its own.
type Answer interface{ answer() }

// TopicPartition names one partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Protocol is one way of assigning partitions that a member offers, with the
// member's metadata for it (for consumers: its subscription).
type Protocol struct {
	Name     string
	Metadata []byte
}

// Join asks to become, or stay, a member (JoinGroup). Answered by *JoinAnswer
// when the rebalance it takes part in completes.
type Join struct {
	Group    string
	MemberID string // empty: a new member
	// InstanceID is group.instance.id of a static member (v5), else nil.
	InstanceID *string
	// NewMemberID is the id to give if the member is new: the client id or the
	// instance id, '-', and a random UUID. The asker draws it, the machine cannot.
	NewMemberID string
	// RequireKnownMemberID: answer a new dynamic member with ErrMemberIDRequired first (v4).
	RequireKnownMemberID bool
	// SkipAssignment: the client understands JoinAnswer.SkipAssignment (v9).
	SkipAssignment     bool
	ClientID           string
	ClientHost         string // as Kafka prints it: "/192.0.2.1"
	SessionTimeoutMs   int32
	RebalanceTimeoutMs int32 // v0 has none: the session timeout
	ProtocolType       string
	Protocols          []Protocol // in the member's order of preference
	Reason             string     // free text (v8), for events only
}

// JoinAnswer answers a *Join.
type JoinAnswer struct {
	Err          error
	Generation   int32 // -1 with most errors
	ProtocolType *string
	ProtocolName *string
	Leader       string
	MemberID     string
	// SkipAssignment: the member leads, but must not assign anew (v9, KIP-814).
	SkipAssignment bool
	Members        []JoinedMember // for the leader; empty for others
}

// JoinedMember is what the leader learns of a member.
type JoinedMember struct {
	MemberID   string
	InstanceID *string
	Metadata   []byte
}

// Sync asks for the member's assignment, and from the leader brings all of
// them (SyncGroup). Answered by *SyncAnswer.
type Sync struct {
	Group        string
	MemberID     string
	InstanceID   *string
	Generation   int32
	ProtocolType *string // v5; checked when given
	ProtocolName *string // v5; checked when given
	Assignments  []Assignment
}

// Assignment is what the leader assigned to one member; opaque here.
type Assignment struct {
	MemberID string
	Data     []byte
}

// SyncAnswer answers a *Sync.
type SyncAnswer struct {
	Err          error
	ProtocolType *string
	ProtocolName *string
	Assignment   []byte
}

// Heartbeat keeps a member's session alive. Answered by *HeartbeatAnswer.
type Heartbeat struct {
	Group      string
	MemberID   string
	InstanceID *string
	Generation int32
}

// HeartbeatAnswer answers a *Heartbeat.
type HeartbeatAnswer struct{ Err error }

// Leave takes members out of the group (LeaveGroup). Answered by *LeaveAnswer.
type Leave struct {
	Group   string
	Members []Leaver
}

// Leaver names one member that leaves: by member id, or, the member id empty,
// by group.instance.id.
type Leaver struct {
	MemberID   string
	InstanceID *string
	Reason     string
}

// LeaveAnswer answers a *Leave. Errs is in the order of Leave.Members and empty
// if Err is set.
type LeaveAnswer struct {
	Err  error
	Errs []error
}

// Commit stores offsets (OffsetCommit). Answered by *CommitAnswer when the
// records are visible.
type Commit struct {
	Group      string
	MemberID   string
	InstanceID *string
	Generation int32 // -1: not a member, allowed while the group is empty
	// RetentionMs is how long to keep the offsets (v2 to v4), -1 for the broker's setting.
	RetentionMs int64
	Offsets     []CommitOffset
}

// CommitOffset is the offset of one partition.
type CommitOffset struct {
	TopicPartition
	Offset      int64
	LeaderEpoch int32  // -1: not known
	Metadata    string // null is stored as ""
	// TimestampMs is the commit time the client gives (v1), -1 for now.
	TimestampMs int64
}

// CommitAnswer answers a *Commit; Errs is in the order of Commit.Offsets.
type CommitAnswer struct{ Errs []error }

// Fetch asks for committed offsets (OffsetFetch). Answered by *FetchAnswer.
type Fetch struct {
	Group string
	// All asks for every partition that has an offset; Partitions is then unused.
	All        bool
	Partitions []TopicPartition
	// RequireStable: answer ErrUnstableOffset for an offset with a commit under way (v7).
	RequireStable bool
}

// FetchAnswer answers a *Fetch: in the order asked, or sorted if all were asked.
type FetchAnswer struct {
	Err     error
	Offsets []FetchedOffset
}

// FetchedOffset is a committed offset, or Offset -1 where there is none.
type FetchedOffset struct {
	TopicPartition
	Offset      int64
	LeaderEpoch int32
	Metadata    string
	Err         error
}

// DeleteOffsets drops committed offsets (OffsetDelete, KIP-496). Answered by
// *DeleteOffsetsAnswer when the tombstones are visible.
type DeleteOffsets struct {
	Group      string
	Partitions []TopicPartition
}

// DeleteOffsetsAnswer answers a *DeleteOffsets; Errs is in the order of
// DeleteOffsets.Partitions and empty if Err is set.
type DeleteOffsetsAnswer struct {
	Err  error
	Errs []error
}

// Describe asks what a group looks like (DescribeGroups). Answered by *DescribeAnswer.
type Describe struct{ Group string }

// DescribeAnswer answers a *Describe. A group that does not exist is Dead, without error.
type DescribeAnswer struct {
	Err          error
	State        State
	ProtocolType string
	Protocol     string // empty unless the group is stable
	Members      []DescribedMember
}

// DescribedMember is one member; Metadata and Assignment are given while the group is stable.
type DescribedMember struct {
	MemberID   string
	InstanceID *string
	ClientID   string
	ClientHost string
	Metadata   []byte
	Assignment []byte
}

// List asks for all groups (ListGroups). Answered by *ListAnswer.
type List struct {
	States []string // names as State prints them, case ignored; empty: all
	Types  []string // "classic" matches, case ignored; empty: all (v5)
}

// ListAnswer answers a *List, sorted by group id. With ErrLoadInProgress Groups
// holds what is known already.
type ListAnswer struct {
	Err    error
	Groups []ListedGroup
}

// ListedGroup is one group of a ListAnswer; all groups here are of type "classic".
type ListedGroup struct {
	Group        string
	ProtocolType string
	State        State
}

// Delete removes a group without members and its offsets (DeleteGroups).
// Answered by *DeleteAnswer when the tombstones are visible.
type Delete struct{ Group string }

// DeleteAnswer answers a *Delete.
type DeleteAnswer struct{ Err error }

// GroupID is for Request.
func (r *Join) GroupID() string { return r.Group }

// GroupID is for Request.
func (r *Sync) GroupID() string { return r.Group }

// GroupID is for Request.
func (r *Heartbeat) GroupID() string { return r.Group }

// GroupID is for Request.
func (r *Leave) GroupID() string { return r.Group }

// GroupID is for Request.
func (r *Commit) GroupID() string { return r.Group }

// GroupID is for Request.
func (r *Fetch) GroupID() string { return r.Group }

// GroupID is for Request.
func (r *DeleteOffsets) GroupID() string { return r.Group }

// GroupID is for Request.
func (r *Describe) GroupID() string { return r.Group }

// GroupID is for Request.
func (r *Delete) GroupID() string { return r.Group }

// GroupID is for Request.
func (r *List) GroupID() string { return "" }

func (*JoinAnswer) answer()          {}
func (*SyncAnswer) answer()          {}
func (*HeartbeatAnswer) answer()     {}
func (*LeaveAnswer) answer()         {}
func (*CommitAnswer) answer()        {}
func (*FetchAnswer) answer()         {}
func (*DeleteOffsetsAnswer) answer() {}
func (*DescribeAnswer) answer()      {}
func (*DeleteAnswer) answer()        {}
func (*ListAnswer) answer()          {}

func (r *Join) refused(err error) Answer {
	return &JoinAnswer{Err: err, Generation: noGeneration, MemberID: r.MemberID}
}

// While a group loads its members are told to join again, not to look for
// another coordinator: that keeps the generation alive.
func (r *Sync) refused(err error) Answer {
	if err == ErrLoadInProgress {
		err = ErrRebalanceInProgress
	}
	return &SyncAnswer{Err: err}
}

// A heartbeat that comes while the group loads is welcome: the session starts anew when it is loaded.
func (r *Heartbeat) refused(err error) Answer {
	if err == ErrLoadInProgress {
		err = nil
	}
	return &HeartbeatAnswer{Err: err}
}

func (r *Leave) refused(err error) Answer { return &LeaveAnswer{Err: err} }

func (r *Commit) refused(err error) Answer { return &CommitAnswer{Errs: repeat(err, len(r.Offsets))} }

func (r *Fetch) refused(err error) Answer         { return &FetchAnswer{Err: err} }
func (r *DeleteOffsets) refused(err error) Answer { return &DeleteOffsetsAnswer{Err: err} }
func (r *Describe) refused(err error) Answer      { return &DescribeAnswer{Err: err, State: stateNone} }
func (r *Delete) refused(err error) Answer        { return &DeleteAnswer{Err: err} }
func (r *List) refused(err error) Answer          { return &ListAnswer{Err: err} }

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}
