// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/replica/group"
)

// groupOperations is what may be done to a group, as a bit field of Kafka's
// AclOperation codes: READ (3), DELETE (6) and DESCRIBE (8). Without an
// authorizer everyone may do all of it.
const groupOperations = 1<<3 | 1<<6 | 1<<8

// DescribeGroups tells state, protocol and members of groups. One that does not
// exist is Dead.
//
//	v1  throttle time        v2  same as v1        v3  authorized operations (KIP-430)
//	v4  group.instance.id (KIP-345)        v5  flexible encoding
func DescribeGroups(groups Groups) Handler {
	return Handler{Key: 15, Min: 0, Max: 5, Serve: func(c *Call) {
		req, resp := c.Body.(*kmsg.DescribeGroupsRequest), c.Response().(*kmsg.DescribeGroupsResponse)
		resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(req.Groups))
		answered := c.ReplyAfter(len(req.Groups), resp)
		for i, id := range req.Groups {
			out := &resp.Groups[i]
			*out = kmsg.NewDescribeGroupsResponseGroup()
			out.Group = id
			groups.Ask(&group.Describe{Group: id}, c.Home(), func(answer group.Answer) {
				a := answer.(*group.DescribeAnswer)
				out.ErrorCode = int16(Code(a.Err))
				out.State, out.ProtocolType, out.Protocol = a.State.String(), a.ProtocolType, a.Protocol
				if req.IncludeAuthorizedOperations && a.Err == nil {
					out.AuthorizedOperations = groupOperations
				}
				for _, m := range a.Members {
					one := kmsg.NewDescribeGroupsResponseGroupMember()
					one.MemberID, one.InstanceID, one.ClientID, one.ClientHost = m.MemberID, m.InstanceID, m.ClientID, m.ClientHost
					one.ProtocolMetadata, one.MemberAssignment = m.Metadata, m.Assignment
					out.Members = append(out.Members, one)
				}
				answered()
			})
		}
	}}
}
