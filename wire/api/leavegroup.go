// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/replica/group"
)

// LeaveGroup takes members out of their group at once.
//
//	v1  throttle time        v2  same as v1
//	v3  many members, by member id or group.instance.id (KIP-345)
//	v4  flexible encoding        v5  reason (KIP-800)
func LeaveGroup(groups Groups) Handler {
	return Handler{Key: 13, Min: 0, Max: 5, Serve: func(c *Call) {
		req := c.Body.(*kmsg.LeaveGroupRequest)
		r := &group.Leave{Group: req.Group}
		if c.Version < 3 {
			r.Members = []group.Leaver{{MemberID: req.MemberID}}
		}
		for _, m := range req.Members {
			r.Members = append(r.Members, group.Leaver{MemberID: m.MemberID, InstanceID: m.InstanceID, Reason: deref(m.Reason)})
		}
		groups.Ask(r, c.Home(), func(answer group.Answer) {
			a, resp := answer.(*group.LeaveAnswer), c.Response().(*kmsg.LeaveGroupResponse)
			resp.ErrorCode = int16(Code(a.Err))
			for i, err := range a.Errs {
				if c.Version < 3 { // there is one, and no other place to say it
					resp.ErrorCode = int16(Code(err))
					break
				}
				one := kmsg.NewLeaveGroupResponseMember()
				one.MemberID, one.InstanceID, one.ErrorCode = r.Members[i].MemberID, r.Members[i].InstanceID, int16(Code(err))
				resp.Members = append(resp.Members, one)
			}
			c.Reply(resp)
		})
	}}
}
