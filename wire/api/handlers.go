// SPDX-License-Identifier: Apache-2.0

package api

import (
	"slices"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Deps gathers what the handlers need; each interface is a small one that the
// file of its API declares.
type Deps struct {
	// Appender and Reader are the broker's partitions: *replica.Set is both.
	Appender Appender
	Reader   Reader
	// Config gives a partition's settings.
	Config func(*replica.Partition) *engine.Config
	// Admin is what the administrative APIs need.
	Admin Admin
	// Cluster is the newest image of the cluster: *meta.Store.
	Cluster Cluster
	// Creator creates topics; AutoCreate is auto.create.topics.enable.
	Creator    TopicCreator
	AutoCreate bool
	// ProducerIDs gives blocks of producer ids.
	ProducerIDs ProducerIDs
	// FetchMaxBytes is fetch.max.bytes (0: 55 MiB); FetchSessions is
	// max.incremental.fetch.session.cache.slots (0: 1000).
	FetchMaxBytes, FetchSessions int
	// MemoryBytes is samsa.memory.bytes (0: 256 MiB).
	MemoryBytes int64
	// Groups is the group coordinator: *group.Host.
	Groups Groups
	// OldOffsets keeps what version 0 commits: embedded.ConsumerOffsets. OffsetMetadataMax
	// is offset.metadata.max.bytes for them.
	OldOffsets        OldOffsets
	OffsetMetadataMax int
	// Now is the clock.
	Now func() time.Time
}

// Handlers returns the broker's handlers in the order of their keys. What is
// not in this list is neither served nor advertised.
func Handlers(d Deps) []Handler {
	list := append(adminHandlers(d.Admin),
		Produce(d),
		Fetch(d),
		ListOffsets(d),
		Metadata(d),
		DeleteRecords(d),
		InitProducerID(d),
		OffsetForLeaderEpoch(d),
		OffsetCommit(d),
		OffsetFetch(d),
		FindCoordinator(d.Cluster, d.Creator),
		JoinGroup(d.Groups),
		Heartbeat(d.Groups),
		LeaveGroup(d.Groups),
		SyncGroup(d.Groups),
		DescribeGroups(d.Groups),
		ListGroups(d.Groups),
		DeleteGroups(d.Groups),
		OffsetDelete(d.Groups, d.Cluster),
	)
	list = append(list, ApiVersions(Table(list)))
	slices.SortFunc(list, func(a, b Handler) int { return int(a.Key) - int(b.Key) })
	return list
}

// Table is what ApiVersions advertises of a list of handlers: all of them, and
// itself.
func Table(list []Handler) []Range {
	table := []Range{{frame.KeyApiVersions, 0, 4}}
	for _, h := range list {
		table = append(table, Range{h.Key, h.Min, h.Max})
	}
	slices.SortFunc(table, func(a, b Range) int { return int(a.Key) - int(b.Key) })
	return table
}
