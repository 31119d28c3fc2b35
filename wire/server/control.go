// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/frame"
)

// Requests that kmsg decodes become objects, and its decoders size slices by
// claimed counts that merely fit the bytes left. So their worst case is charged
// before decoding; past the budget they are decoded one at a time.

// decodeFactor is how many bytes of objects one byte of a frame can become,
// measured over all messages kmsg has.
const decodeFactor = 84

// smallControl: what a frame up to this size became is not worth counting once
// it is decoded.
const smallControl = 4 << 10

// controlBudget is shared by all lanes.
type controlBudget struct {
	mu         sync.Mutex
	limit      int64
	used       int64
	head, tail *reservedControl
}

// reservedControl is a call's place in the line for decoding.
type reservedControl struct {
	call  *call
	bytes int64
	next  *reservedControl
}

// take reserves r's bytes, or queues r and posts it once it has them.
func (b *controlBudget) take(r *reservedControl) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.head == nil && (b.used == 0 || b.used+r.bytes <= b.limit) {
		b.used += r.bytes
		return true
	}
	r.next = nil
	if b.tail == nil {
		b.head = r
	} else {
		b.tail.next = r
	}
	b.tail = r
	return false
}

// give returns n bytes.
func (b *controlBudget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.used < 0 {
		panic("BUG: server: more control memory given back than was taken")
	}
	for r := b.head; r != nil && (b.used == 0 || b.used+r.bytes <= b.limit); r = b.head {
		b.used += r.bytes
		b.head = r.next
		if b.head == nil {
			b.tail = nil
		}
		r.call.conn.lane.loop.Post(r)
	}
}

// startControl reserves what decoding may cost, and decodes.
func (k *call) startControl() {
	k.control = reservedControl{call: k, bytes: int64(len(k.body)+1) * decodeFactor}
	if k.conn.lane.server.control.take(&k.control) {
		k.control.Run()
	}
}

// Run implements netpoll.Message: the bytes are reserved.
func (r *reservedControl) Run() {
	k := r.call
	k.charge = r.bytes
	if k.conn.dead {
		k.Silent()
		return
	}
	small := len(k.body) <= smallControl
	if !k.decode() {
		return
	}
	if k.handler.Slow {
		k.conn.lane.server.pool(k.serve)
		return
	}
	if small {
		k.freeCharge()
	}
	k.handler.Serve(&k.Call)
}

// decode makes Body of the frame, which is given back. Body must outlive the
// frame, so what it refers to is a copy. An ApiVersions of an unknown version
// stays without Body.
func (k *call) decode() bool {
	h := k.handler
	if k.Version < h.Min || k.Version > h.Max {
		k.freeFrame()
		return true
	}
	body := bytes.Clone(k.body)
	k.freeFrame()
	req := kmsg.RequestForKey(k.Key)
	req.SetVersion(k.Version)
	if err := readBody(req, body); err != nil {
		k.conn.warn(kindFrame, fmt.Errorf("%w: api key %d version %d: %w: %w", ErrProtocol, k.Key, k.Version, frame.ErrMalformed, err))
		k.Silent()
		return false
	}
	k.Body = req
	if len(body) > smallControl {
		k.settleCharge(int64(len(body)) + weigh(reflect.ValueOf(req)))
	}
	return true
}

// readBody decodes body into req.
func readBody(req kmsg.Request, body []byte) error { return req.ReadFrom(body) }

// settleCharge replaces the worst case by what the request really holds.
func (k *call) settleCharge(n int64) {
	if n < k.charge {
		k.conn.lane.server.control.give(k.charge - n)
		k.charge = n
	}
}

// freeCharge gives the rest back.
func (k *call) freeCharge() {
	if k.charge > 0 {
		n := k.charge
		k.charge = 0
		k.conn.lane.server.control.give(n)
	}
}

// serveOnPool runs a Slow handler.
func (k *call) serveOnPool() { k.handler.Serve(&k.Call) }

// weigh estimates the memory behind a decoded message.
func weigh(v reflect.Value) int64 {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return 0
		}
		return int64(v.Elem().Type().Size()) + weigh(v.Elem())
	case reflect.String:
		return int64(v.Len())
	case reflect.Slice:
		n := int64(v.Cap()) * int64(v.Type().Elem().Size())
		if v.Type().Elem().Kind() >= reflect.Array && v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				n += weigh(v.Index(i))
			}
		}
		return n
	case reflect.Struct:
		n := int64(0)
		for i := range v.NumField() {
			n += weigh(v.Field(i))
		}
		return n
	}
	return 0
}
