// SPDX-License-Identifier: Apache-2.0

package api

import (
	"regexp"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/frame"
)

// ApiVersions tells which APIs are served in which versions, as the list of
// handlers has them.
//
//	v1-2  throttle time      v3  flexible, client software, features
//	v4    features whose lowest level is 0
//
// The response header is v0 in every version, and a version we do not know is
// answered with a v0 body, so that any client can read the answer and choose.
func ApiVersions(table []Range) Handler {
	a := &advertiser{}
	for _, r := range table {
		a.keys = append(a.keys, kmsg.ApiVersionsResponseApiKey{ApiKey: r.Key, MinVersion: r.Min, MaxVersion: r.Max})
	}
	return Handler{Key: frame.KeyApiVersions, Min: 0, Max: 4, Serve: a.serve}
}

type advertiser struct {
	keys []kmsg.ApiVersionsResponseApiKey
}

// softwareName is what a client may call itself and its version (KIP-511).
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func (a *advertiser) serve(c *Call) {
	if c.Body == nil { // a version unknown to us
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.ErrorCode = int16(frame.UnsupportedVersion)
		resp.ApiKeys = a.keys
		c.Reply(resp)
		return
	}
	req := c.Body.(*kmsg.ApiVersionsRequest)
	resp := c.Response().(*kmsg.ApiVersionsResponse)
	if c.Version >= 3 && !(softwareName.MatchString(req.ClientSoftwareName) && softwareName.MatchString(req.ClientSoftwareVersion)) {
		resp.ErrorCode = int16(frame.InvalidRequest)
	} else {
		resp.ApiKeys, resp.FinalizedFeaturesEpoch = a.keys, 0
	}
	c.Reply(resp)
}
