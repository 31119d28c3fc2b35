// SPDX-License-Identifier: Apache-2.0

package group

// State is where a group stands in its life; String gives Kafka's names.
type State uint8

// The states of a classic group.
const (
	// stateNone is printed as "": the state of a group we may not speak about.
	stateNone State = iota
	// Empty: no members; it may have offsets.
	Empty
	// PreparingRebalance: waiting for the members to join the next generation.
	PreparingRebalance
	// CompletingRebalance: all joined; waiting for the leader's assignment.
	CompletingRebalance
	// Stable: every member has its assignment, or can fetch it.
	Stable
	// Dead: no such group, or its removal is under way.
	Dead
)

// String is the name that DescribeGroups and ListGroups give.
func (s State) String() string {
	switch s {
	case Empty:
		return "Empty"
	case PreparingRebalance:
		return "PreparingRebalance"
	case CompletingRebalance:
		return "CompletingRebalance"
	case Stable:
		return "Stable"
	case Dead:
		return "Dead"
	default:
		return ""
	}
}

// noGeneration is the generation of those who are in no group.
const noGeneration = -1
