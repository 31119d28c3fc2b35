// SPDX-License-Identifier: Apache-2.0

package api

import (
	"slices"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/replica"
)

// Deps gathers what the handlers need; each field is a small interface that
// the file of its API declares.
type Deps struct {
	// Appender, Reader and Offsets are the broker's partitions: *replica.Set.
	Appender Appender
	// Config gives a partition's settings.
	Config func(*replica.Partition) *engine.Config
	// Places tells whose the partitions are that are not here.
	Places Places
	// Admin is what the administrative APIs need.
	Admin Admin
	// Now is the clock.
	Now func() time.Time
}

// Handlers returns the broker's handlers in the order of their keys.
func Handlers(d Deps) []Handler {
	list := append(adminHandlers(d.Admin),
		Produce(d),
	)
	slices.SortFunc(list, func(a, b Handler) int { return int(a.Key) - int(b.Key) })
	return list
}
