// SPDX-License-Identifier: Apache-2.0

package api

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/replica/group"
)

// Groups brings requests to the coordinator of their group; done runs once, on
// home. *group.Host is one.
type Groups interface {
	Ask(r group.Request, home replica.Home, done func(group.Answer))
}

// JoinGroup makes the caller a member of the group's next generation, and
// answers when that begins.
//
//	v1  rebalance timeout apart from the session timeout
//	v2  throttle time        v3  same as v2
//	v4  a new member is first given its id (KIP-394)
//	v5  group.instance.id (KIP-345)        v6  flexible encoding
//	v7  protocol type in the answer; protocol may be null
//	v8  reason (KIP-800)        v9  skip assignment (KIP-814)
func JoinGroup(groups Groups) Handler {
	return Handler{Key: 11, Min: 0, Max: 9, Serve: func(c *Call) {
		groups.Ask(joinRequest(c, c.Body.(*kmsg.JoinGroupRequest)), c.Home(), func(answer group.Answer) {
			a, resp := answer.(*group.JoinAnswer), c.Response().(*kmsg.JoinGroupResponse)
			resp.ErrorCode = int16(Code(a.Err))
			resp.Generation = a.Generation
			resp.ProtocolType = a.ProtocolType
			if resp.Protocol = a.ProtocolName; a.ProtocolName != nil && *a.ProtocolName == "" {
				resp.Protocol = nil
			}
			resp.LeaderID = a.Leader
			resp.SkipAssignment = a.SkipAssignment
			resp.MemberID = a.MemberID
			for _, m := range a.Members {
				one := kmsg.NewJoinGroupResponseMember()
				one.MemberID, one.InstanceID, one.ProtocolMetadata = m.MemberID, m.InstanceID, m.Metadata
				resp.Members = append(resp.Members, one)
			}
			c.Reply(resp)
		})
	}}
}

func joinRequest(c *Call, req *kmsg.JoinGroupRequest) *group.Join {
	r := &group.Join{
		Group:                req.Group,
		MemberID:             req.MemberID,
		InstanceID:           req.InstanceID,
		RequireKnownMemberID: c.Version >= 4 && req.InstanceID == nil,
		SkipAssignment:       c.Version >= 9,
		ClientID:             c.Client.ID,
		ClientHost:           javaAddress(c.Client.Host),
		SessionTimeoutMs:     req.SessionTimeoutMillis,
		RebalanceTimeoutMs:   req.RebalanceTimeoutMillis,
		ProtocolType:         req.ProtocolType,
		Reason:               deref(req.Reason),
	}
	if c.Version == 0 {
		r.RebalanceTimeoutMs = r.SessionTimeoutMs
	}
	if r.MemberID == "" {
		of := c.Client.ID
		if r.InstanceID != nil {
			of = *r.InstanceID
		}
		r.NewMemberID = of + "-" + newUUID()
	}
	for _, p := range req.Protocols {
		r.Protocols = append(r.Protocols, group.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	return r
}

// newUUID is a random UUID (version 4) as text.
func newUUID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // it does not fail
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// javaAddress prints an address as Kafka's tools show it: a slash, and an IPv6
// address without its zeros left out.
func javaAddress(a netip.Addr) string {
	a = a.Unmap()
	if !a.Is6() {
		return "/" + a.String()
	}
	b := a.As16()
	parts := make([]string, 8)
	for i := range parts {
		parts[i] = fmt.Sprintf("%x", uint16(b[2*i])<<8|uint16(b[2*i+1]))
	}
	s := "/" + strings.Join(parts, ":")
	if zone := a.Zone(); zone != "" {
		s += "%" + zone
	}
	return s
}

// deref is the string, or "" for null.
func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
