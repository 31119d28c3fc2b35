// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/frame"
)

// redirect gives a response in which every broker has the address self. What it
// cannot read, or what names no brokers, stays as it is.
func redirect(x exchange, self string) []byte {
	host, portText, err := net.SplitHostPort(self)
	port, err2 := strconv.ParseInt(portText, 10, 32)
	if err != nil || err2 != nil {
		return x.response
	}
	head := frame.AppendResponseHeader(nil, x.header)
	resp := kmsg.ResponseForKey(x.header.Key)
	if resp == nil || len(x.response) < len(head) {
		return x.response
	}
	resp.SetVersion(x.header.Version)
	if resp.ReadFrom(x.response[len(head):]) != nil {
		return x.response
	}
	switch r := resp.(type) {
	case *kmsg.MetadataResponse:
		for i := range r.Brokers {
			r.Brokers[i].Host, r.Brokers[i].Port = host, int32(port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range r.Brokers {
			r.Brokers[i].Host, r.Brokers[i].Port = host, int32(port)
		}
	case *kmsg.FindCoordinatorResponse:
		if r.NodeID >= 0 && r.Port >= 0 && r.Version < 4 {
			r.Host, r.Port = host, int32(port)
		}
		for i := range r.Coordinators {
			if c := &r.Coordinators[i]; c.Port >= 0 {
				c.Host, c.Port = host, int32(port)
			}
		}
	case *kmsg.ProduceResponse:
		for i := range r.Brokers {
			r.Brokers[i].Host, r.Brokers[i].Port = host, int32(port)
		}
	case *kmsg.FetchResponse:
		for i := range r.Brokers {
			r.Brokers[i].Host, r.Brokers[i].Port = host, int32(port)
		}
	default:
		return x.response
	}
	return resp.AppendTo(append([]byte(nil), x.response[:len(head)]...))
}
