// SPDX-License-Identifier: Apache-2.0

package meta

import "errors"

// Errors of the offsets that groups keep in ZooKeeper's tree.
var (
	// ErrNoOffset: the group has committed none for the partition.
	ErrNoOffset = errors.New("meta: no offset is stored")
	// ErrGroupPath: the group's name cannot be part of a path of the tree.
	ErrGroupPath = errors.New("meta: the group's name makes no path")
)

// ConsumerOffset is how far a group has read, as clients of version 0 keep it
// in ZooKeeper's tree.
type ConsumerOffset struct {
	Partition Partition
	Offset    int64
	Err       error // nil, or why this one could not be read or stored
}
