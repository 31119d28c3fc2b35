// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"slices"

	"github.com/samsa-broker/samsa/controller/meta"
)

// PartitionsMax bounds the partitions that one request may create; the number
// comes from outside and sizes memory. Kafka's later controller has the same.
const PartitionsMax = 10_000

// Defaults stand in for -1 in requests.
type Defaults struct {
	Partitions        int32 // num.partitions
	ReplicationFactor int16 // default.replication.factor
}

// PlanTopic checks Kafka's rules for a new topic's partitions and gives the
// replicas of each. Replicas are dealt out over the brokers in turn, beginning
// with brokers[start]. The errors are those of package meta.
func PlanTopic(t meta.NewTopic, d Defaults, brokers []meta.BrokerID, start int) ([][]meta.BrokerID, error) {
	if len(t.Assignment) > 0 {
		if t.Partitions != -1 || t.ReplicationFactor != -1 {
			return nil, fmt.Errorf("%w: topic %s has both an assignment and a number of partitions or replicas", meta.ErrInvalidRequest, t.Name)
		}
		return planAssigned(t, brokers)
	}
	n, factor := t.Partitions, t.ReplicationFactor
	if n == -1 {
		n = d.Partitions
	}
	if factor == -1 {
		factor = d.ReplicationFactor
	}
	if n <= 0 {
		return nil, fmt.Errorf("%w: %d, it must be larger than 0", meta.ErrInvalidPartitions, n)
	}
	if n > PartitionsMax {
		return nil, fmt.Errorf("%w: %d, one request may create %d", meta.ErrInvalidPartitions, n, PartitionsMax)
	}
	if factor <= 0 {
		return nil, fmt.Errorf("%w: %d, it must be larger than 0", meta.ErrInvalidReplicationFactor, factor)
	}
	if int(factor) > len(brokers) {
		return nil, fmt.Errorf("%w: %d is larger than the number of live brokers, %d", meta.ErrInvalidReplicationFactor, factor, len(brokers))
	}
	return deal(brokers, start, 0, int(n), int(factor)), nil
}

// PlanPartitions checks Kafka's rules for a topic that shall have more
// partitions than it has, and gives the replicas of the new ones.
func PlanPartitions(have []meta.State, req meta.NewPartitions, brokers []meta.BrokerID) ([][]meta.BrokerID, error) {
	more := int64(req.Count) - int64(len(have))
	switch {
	case more == 0:
		return nil, fmt.Errorf("%w: topic %s already has %d partitions", meta.ErrInvalidPartitions, req.Topic, len(have))
	case more < 0:
		return nil, fmt.Errorf("%w: topic %s has %d partitions, which is higher than the requested %d", meta.ErrInvalidPartitions, req.Topic, len(have), req.Count)
	case more > PartitionsMax:
		return nil, fmt.Errorf("%w: %d more, one request may create %d", meta.ErrInvalidPartitions, more, PartitionsMax)
	}
	factor, start := 1, 0
	if len(have) > 0 && len(have[0].Replicas) > 0 {
		factor = len(have[0].Replicas)
		start = max(0, slices.Index(brokers, have[0].Replicas[0]))
	}
	if req.Assignment == nil {
		if factor > len(brokers) {
			return nil, fmt.Errorf("%w: %d is larger than the number of live brokers, %d", meta.ErrInvalidReplicationFactor, factor, len(brokers))
		}
		return deal(brokers, start, len(have), int(more), factor), nil
	}
	if int64(len(req.Assignment)) != more {
		return nil, fmt.Errorf("%w: %d more partitions but %d assignments", meta.ErrInvalidAssignment, more, len(req.Assignment))
	}
	for i, replicas := range req.Assignment {
		if err := checkReplicas(len(have)+i, replicas, factor, brokers); err != nil {
			return nil, err
		}
	}
	return req.Assignment, nil
}

func planAssigned(t meta.NewTopic, brokers []meta.BrokerID) ([][]meta.BrokerID, error) {
	if len(t.Assignment) > PartitionsMax {
		return nil, fmt.Errorf("%w: %d, one request may create %d", meta.ErrInvalidPartitions, len(t.Assignment), PartitionsMax)
	}
	out := make([][]meta.BrokerID, len(t.Assignment))
	for i := range out {
		replicas, ok := t.Assignment[int32(i)]
		if !ok {
			return nil, fmt.Errorf("%w: partitions must be numbered from 0 without gaps, %d is missing", meta.ErrInvalidAssignment, i)
		}
		if err := checkReplicas(i, replicas, len(t.Assignment[0]), brokers); err != nil {
			return nil, err
		}
		out[i] = replicas
	}
	return out, nil
}

func checkReplicas(index int, replicas []meta.BrokerID, factor int, brokers []meta.BrokerID) error {
	if len(replicas) == 0 {
		return fmt.Errorf("%w: partition %d has no replica", meta.ErrInvalidAssignment, index)
	}
	if len(replicas) != factor {
		return fmt.Errorf("%w: partition %d has %d replicas, others have %d", meta.ErrInvalidAssignment, index, len(replicas), factor)
	}
	for i, b := range replicas {
		if slices.Contains(replicas[:i], b) {
			return fmt.Errorf("%w: partition %d names broker %d twice", meta.ErrInvalidAssignment, index, b)
		}
		if !slices.Contains(brokers, b) {
			return fmt.Errorf("%w: partition %d names broker %d, which is not alive", meta.ErrInvalidAssignment, index, b)
		}
	}
	return nil
}

// deal gives partitions first, first+1, … their replicas.
func deal(brokers []meta.BrokerID, start, first, n, factor int) [][]meta.BrokerID {
	out := make([][]meta.BrokerID, n)
	for i := range out {
		out[i] = make([]meta.BrokerID, factor)
		for r := range factor {
			out[i][r] = brokers[(start+first+i+r)%len(brokers)]
		}
	}
	return out
}
