// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/replica/group"
)

// Heartbeat keeps a member's session alive and tells it of rebalances.
//
//	v1  throttle time        v2  same as v1
//	v3  group.instance.id (KIP-345)        v4  flexible encoding
func Heartbeat(groups Groups) Handler {
	return Handler{Key: 12, Min: 0, Max: 4, Serve: func(c *Call) {
		req := c.Body.(*kmsg.HeartbeatRequest)
		groups.Ask(&group.Heartbeat{
			Group:      req.Group,
			MemberID:   req.MemberID,
			InstanceID: req.InstanceID,
			Generation: req.Generation,
		}, c.Home(), func(answer group.Answer) {
			resp := c.Response().(*kmsg.HeartbeatResponse)
			resp.ErrorCode = int16(Code(answer.(*group.HeartbeatAnswer).Err))
			c.Reply(resp)
		})
	}}
}
