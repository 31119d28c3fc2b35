// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/frame"
)

// clusterOperations is what anyone may do to the cluster where no authorizer
// says otherwise: a bit for each of Kafka's operations create(5), alter(7),
// describe(8), cluster action(9), describe configs(10), alter configs(11),
// idempotent write(12).
const clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12

// Types of endpoints (KIP-919).
const (
	endpointBrokers     = 1
	endpointControllers = 2
)

// DescribeCluster tells the cluster's id, controller and brokers (KIP-700),
// each with the address of the listener that the request came on.
//
//	v1  type of endpoint: brokers only, a ZooKeeper-mode broker has no controllers' endpoint
func DescribeCluster(image clusterView) Handler {
	return Handler{Key: 60, Min: 0, Max: 1, Serve: func(c *Call) {
		req := c.Body.(*kmsg.DescribeClusterRequest)
		resp := c.Response().(*kmsg.DescribeClusterResponse)
		resp.EndpointType, resp.ControllerID, resp.ClusterAuthorizedOperations = endpointBrokers, -1, math.MinInt32
		if req.Version >= 1 && req.EndpointType != endpointBrokers {
			resp.ErrorCode, resp.ErrorMessage = verdict(wrongEndpoint(req.EndpointType))
			c.Reply(resp)
			return
		}
		m := image.Load()
		resp.ClusterID, resp.ControllerID = m.ClusterID, int32(m.Controller)
		if req.IncludeClusterAuthorizedOperations {
			resp.ClusterAuthorizedOperations = clusterOperations
		}
		for i := range m.Brokers {
			b := &m.Brokers[i]
			e, ok := b.Endpoint(c.Client.Listener)
			if !ok {
				continue // not reachable by this client
			}
			out := kmsg.NewDescribeClusterResponseBroker()
			out.NodeID, out.Host, out.Port = int32(b.ID), e.Host, e.Port
			if b.Rack != "" {
				out.Rack = &b.Rack
			}
			resp.Brokers = append(resp.Brokers, out)
		}
		c.Reply(resp)
	}}
}

func wrongEndpoint(kind int8) error {
	if kind == endpointControllers {
		return Fail(frame.MismatchedEndpointType, "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
	}
	return Fail(frame.UnsupportedEndpointType, fmt.Sprintf("Unsupported endpoint type %d", kind))
}
