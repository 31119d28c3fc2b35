// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/replica/group"
	"github.com/samsa-broker/samsa/wire/frame"
)

// The kinds of key a coordinator is looked up by.
const (
	coordinatorGroup       = 0
	coordinatorTransaction = 1
	coordinatorShare       = 2
)

// node is where clients reach a broker; nobody's is that of an answer without one.
type node struct {
	id   int32
	host string
	port int32
}

var nobody = node{id: -1, port: -1}

// FindCoordinator names the broker that leads the partition a group is kept in,
// as clients of the listener reach it. It makes __consumer_offsets when it is
// first asked for.
//
//	v1  kinds of coordinators, error message, throttle time
//	v2  same as v1        v3  flexible encoding
//	v4  many keys (KIP-699)
//	v5  same as v4 (KIP-890)        v6  share groups, which are not served
func FindCoordinator(cluster Cluster, topics TopicCreator) Handler {
	return Handler{Key: 10, Min: 0, Max: 6, Serve: func(c *Call) {
		req := c.Body.(*kmsg.FindCoordinatorRequest)
		if req.CoordinatorType == coordinatorGroup && cluster.Load().Topic(meta.OffsetsTopic) == nil {
			c.Go(taskFunc(func() {
				_, err := topics.AutoCreate(meta.OffsetsTopic)
				findCoordinators(c, req, cluster.Load(), err)
			}))
			return
		}
		findCoordinators(c, req, cluster.Load(), nil)
	}}
}

// errKind: no coordinator is of that kind.
var errKind = Fail(frame.InvalidRequest, "Unknown coordinator type")

// taskFunc is a function as a Task.
type taskFunc func()

// Run implements Task.
func (f taskFunc) Run() { f() }

func findCoordinators(c *Call, req *kmsg.FindCoordinatorRequest, image *meta.Image, failed error) {
	resp := c.Response().(*kmsg.FindCoordinatorResponse)
	if c.Version < 4 {
		n, err := findCoordinator(c, req, req.CoordinatorKey, image, failed)
		resp.ErrorCode, resp.NodeID, resp.Host, resp.Port = int16(Code(err)), n.id, n.host, n.port
		if resp.ErrorMessage = Message(err); err == nil {
			none := frame.None.String() // what Kafka says then
			resp.ErrorMessage = &none
		}
		c.Reply(resp)
		return
	}
	for _, key := range req.CoordinatorKeys {
		n, err := findCoordinator(c, req, key, image, failed)
		one := kmsg.NewFindCoordinatorResponseCoordinator()
		one.Key, one.ErrorCode, one.NodeID, one.Host, one.Port = key, int16(Code(err)), n.id, n.host, n.port
		if one.ErrorMessage = new(string); errors.Is(err, errKind) {
			one.ErrorMessage = Message(err)
		}
		resp.Coordinators = append(resp.Coordinators, one)
	}
	c.Reply(resp)
}

// findCoordinator answers for one key. Whatever stands in the way, clients are
// to ask again.
func findCoordinator(c *Call, req *kmsg.FindCoordinatorRequest, key string, image *meta.Image, failed error) (node, error) {
	switch {
	case req.CoordinatorType == coordinatorShare && c.Version >= 6, req.CoordinatorType == coordinatorTransaction:
		return nobody, group.ErrCoordinatorNotAvailable
	case req.CoordinatorType == coordinatorShare:
		return nobody, group.ErrInvalidRequest
	case req.CoordinatorType != coordinatorGroup:
		return nobody, errKind
	}
	topic := image.Topic(meta.OffsetsTopic)
	if failed != nil || topic == nil || len(topic.Partitions) == 0 {
		return nobody, group.ErrCoordinatorNotAvailable
	}
	leader := topic.Partitions[group.PartitionFor(key, int32(len(topic.Partitions)))].Leader
	broker := image.Broker(leader)
	if broker == nil {
		return nobody, group.ErrCoordinatorNotAvailable
	}
	endpoint, ok := broker.Endpoint(c.Client.Listener)
	if !ok {
		return nobody, group.ErrCoordinatorNotAvailable
	}
	return node{int32(leader), endpoint.Host, endpoint.Port}, nil
}
