// SPDX-License-Identifier: Apache-2.0

package group

// Events tells whoever runs the broker what happens in the groups. Any field
// may be nil, and so may the pointer. The functions must not block.
type Events struct {
	// Rebalancing: a group that was at that generation waits for its members to join the next.
	Rebalancing func(group string, generation int32, why string)
	// Generation: a new generation of that many members began; 0: the group is empty.
	Generation func(group string, generation int32, members int)
	// MemberRemoved: a member left, expired or was too late.
	MemberRemoved func(group, member, why string)
	// OffsetsExpired: that many offsets of the group are past their retention.
	OffsetsExpired func(group string, offsets int)
	// WriteFailed: a record of the group was not written.
	WriteFailed func(group string, err error)
	// RecordSkipped: a record of the partition's log could not be read and was passed over.
	RecordSkipped func(partition int32, offset int64, err error)
	// Loaded: the groups of a partition are served from now on.
	Loaded func(partition int32, groups, offsets int, tookMs int64)
	// LoadFailed: the log of a partition could not be read; its groups are not served.
	LoadFailed func(partition int32, err error)
}

func (e *Events) rebalancing(group string, generation int32, why string) {
	if e != nil && e.Rebalancing != nil {
		e.Rebalancing(group, generation, why)
	}
}

func (e *Events) generation(group string, generation int32, members int) {
	if e != nil && e.Generation != nil {
		e.Generation(group, generation, members)
	}
}

func (e *Events) removed(group, member, why string) {
	if e != nil && e.MemberRemoved != nil {
		e.MemberRemoved(group, member, why)
	}
}

func (e *Events) expired(group string, offsets int) {
	if e != nil && e.OffsetsExpired != nil {
		e.OffsetsExpired(group, offsets)
	}
}

func (e *Events) writeFailed(group string, err error) {
	if e != nil && e.WriteFailed != nil {
		e.WriteFailed(group, err)
	}
}

func (e *Events) skipped(partition int32, offset int64, err error) {
	if e != nil && e.RecordSkipped != nil {
		e.RecordSkipped(partition, offset, err)
	}
}

func (e *Events) loaded(partition int32, groups, offsets int, tookMs int64) {
	if e != nil && e.Loaded != nil {
		e.Loaded(partition, groups, offsets, tookMs)
	}
}

func (e *Events) loadFailed(partition int32, err error) {
	if e != nil && e.LoadFailed != nil {
		e.LoadFailed(partition, err)
	}
}
