// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/replica"
)

// Cluster is the cluster image; *meta.Store is one.
type Cluster interface{ Load() *meta.Image }

// Places tells why a partition is not here.
type Places struct{ Cluster Cluster }

// Missing is the error for a partition this broker has no replica of: another
// broker's, or nobody's.
func (p Places) Missing(topic []byte, index int32) error {
	if p.Cluster != nil {
		if t := p.Cluster.Load().Topic(string(topic)); t != nil && index >= 0 && int(index) < len(t.Partitions) {
			return replica.ErrNotLeader
		}
	}
	return replica.ErrUnknownPartition
}

// MissingID is Missing for a topic named by id.
func (p Places) MissingID(id [16]byte, index int32) error {
	if p.Cluster != nil {
		if t := p.Cluster.Load().TopicByID(meta.TopicID(id)); t != nil {
			if index >= 0 && int(index) < len(t.Partitions) {
				return replica.ErrNotLeader
			}
			return replica.ErrUnknownPartition
		}
	}
	return meta.ErrUnknownTopicID
}

// isInternal tells the topics the broker keeps for itself.
func isInternal(topic []byte) bool {
	return string(topic) == "__consumer_offsets" || string(topic) == "__transaction_state"
}
