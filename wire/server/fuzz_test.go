// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
	"github.com/samsa-broker/samsa/wire/api"
	"github.com/samsa-broker/samsa/wire/frame"
)

// FuzzControlBody: kmsg's decoders take any body of any request we serve
// without a panic, and what they make of it stays within the worst case that
// is charged before decoding.
func FuzzControlBody(tf *testing.F) {
	f := hostiletest.New(tf)
	handlers := api.Handlers(api.Deps{})
	var all shapes
	for i := range handlers {
		if err := all.learn(&handlers[i]); err != nil {
			f.Fatal(err)
		}
	}
	for i, h := range handlers {
		if h.Raw {
			continue
		}
		for v := h.Min; v <= h.Max; v++ {
			req := kmsg.RequestForKey(h.Key)
			req.SetVersion(v)
			f.Add(i, v, req.AppendTo(nil))
			_, full := hostiletest.Request(h.Key, v)
			f.Add(i, v, full)
		}
	}
	f.Fuzz(func(t *testing.T, i int, version int16, body []byte) {
		h := &handlers[max(i, 0)%len(handlers)]
		if h.Raw || version < h.Min || version > h.Max || len(body) > 1<<16 {
			return
		}
		req := kmsg.RequestForKey(h.Key)
		req.SetVersion(version)
		err := all.read(req, body)
		if err != nil && !errors.Is(err, frame.ErrMalformed) {
			t.Fatalf("key %d v%d: the shape lets %x pass, kmsg does not: %v", h.Key, version, body, err)
		}
		if n := weigh(reflect.ValueOf(req)); n > int64(len(body)+1)*decodeFactor+4096 {
			t.Fatalf("key %d v%d: %d bytes became %d (%v)", h.Key, version, len(body), n, err)
		}
	})
}

// FuzzFirstBytes: the sniffing takes any four bytes.
func FuzzFirstBytes(tf *testing.F) {
	f := hostiletest.New(tf)
	for _, s := range []string{"GET ", "ruok", "\x16\x03\x01\x02", "\x00\x00\x00\x10", "SSH-"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return
		}
		if what := foreign(b); what != "" && b[0] == 0 {
			t.Fatalf("%x is a plausible length, not %s", b[:4], what)
		}
	})
}
