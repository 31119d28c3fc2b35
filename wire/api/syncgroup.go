// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/replica/group"
)

// SyncGroup gives a member its assignment; the leader's request brings them all.
//
//	v1  throttle time        v2  same as v1
//	v3  group.instance.id (KIP-345)        v4  flexible encoding
//	v5  protocol type and name, which must be there (KIP-559)
func SyncGroup(groups Groups) Handler {
	return Handler{Key: 14, Min: 0, Max: 5, Serve: func(c *Call) {
		req, resp := c.Body.(*kmsg.SyncGroupRequest), c.Response().(*kmsg.SyncGroupResponse)
		if c.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil) {
			resp.ErrorCode = int16(Code(group.ErrInconsistentProtocol))
			c.Reply(resp)
			return
		}
		r := &group.Sync{
			Group:        req.Group,
			MemberID:     req.MemberID,
			InstanceID:   req.InstanceID,
			Generation:   req.Generation,
			ProtocolType: req.ProtocolType,
			ProtocolName: req.Protocol,
		}
		for _, a := range req.GroupAssignment {
			r.Assignments = append(r.Assignments, group.Assignment{MemberID: a.MemberID, Data: a.MemberAssignment})
		}
		groups.Ask(r, c.Home(), func(answer group.Answer) {
			a := answer.(*group.SyncAnswer)
			resp.ErrorCode = int16(Code(a.Err))
			resp.ProtocolType, resp.Protocol, resp.MemberAssignment = a.ProtocolType, a.ProtocolName, a.Assignment
			c.Reply(resp)
		})
	}}
}
