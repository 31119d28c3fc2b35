// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/replica/group"
)

// ListGroups tells which groups this broker coordinates.
//
//	v1  throttle time        v2  same as v1        v3  flexible encoding
//	v4  states, and a filter by them (KIP-518)
//	v5  types, and a filter by them (KIP-848): all groups here are classic
func ListGroups(groups Groups) Handler {
	return Handler{Key: 16, Min: 0, Max: 5, Serve: func(c *Call) {
		req := c.Body.(*kmsg.ListGroupsRequest)
		groups.Ask(&group.List{States: req.StatesFilter, Types: req.TypesFilter}, c.Home(), func(answer group.Answer) {
			a, resp := answer.(*group.ListAnswer), c.Response().(*kmsg.ListGroupsResponse)
			resp.ErrorCode = int16(Code(a.Err))
			for _, g := range a.Groups {
				one := kmsg.NewListGroupsResponseGroup()
				one.Group, one.ProtocolType, one.GroupState, one.GroupType = g.Group, g.ProtocolType, g.State.String(), "classic"
				resp.Groups = append(resp.Groups, one)
			}
			c.Reply(resp)
		})
	}}
}
