// SPDX-License-Identifier: Apache-2.0

package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/replica/group"
)

// DeleteGroups removes groups without members, and their offsets (KIP-229).
//
//	v1  same as v0        v2  flexible encoding
func DeleteGroups(groups Groups) Handler {
	return Handler{Key: 42, Min: 0, Max: 2, Serve: func(c *Call) {
		req, resp := c.Body.(*kmsg.DeleteGroupsRequest), c.Response().(*kmsg.DeleteGroupsResponse)
		var ids []string // each once
		for _, id := range req.Groups {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(ids))
		answered := c.ReplyAfter(len(ids), resp)
		for i, id := range ids {
			out := &resp.Groups[i]
			out.Group = id
			groups.Ask(&group.Delete{Group: id}, c.Home(), func(answer group.Answer) {
				out.ErrorCode = int16(Code(answer.(*group.DeleteAnswer).Err))
				answered()
			})
		}
	}}
}
