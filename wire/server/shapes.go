// SPDX-License-Identifier: Apache-2.0

package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/api"
	"github.com/samsa-broker/samsa/wire/frame"
)

// shapes are the layouts of the requests that kmsg decodes, by key and by
// version from the lowest served: a body is walked over before it is decoded,
// because kmsg's decoders trust some of what they read (see frame.Shape).
type shapes [maxKeys]struct {
	min  int16
	list []*frame.Shape
}

// learn makes the shapes of a handler's requests.
func (s *shapes) learn(h *api.Handler) error {
	if h.Raw || kmsg.RequestForKey(h.Key) == nil {
		return nil
	}
	at := &s[h.Key]
	at.min = h.Min
	for v := h.Min; v <= h.Max; v++ {
		shape, err := frame.NewShape(kmsg.RequestForKey(h.Key), v)
		if err != nil {
			return err
		}
		at.list = append(at.list, shape)
	}
	return nil
}

// read decodes body into req, whose key and version are served.
func (s *shapes) read(req kmsg.Request, body []byte) error {
	at := &s[req.Key()]
	if err := at.list[req.GetVersion()-at.min].Check(body); err != nil {
		return err
	}
	return req.ReadFrom(body)
}
