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

// Requests that kmsg decodes become objects, many times larger than their bytes.
// So the worst case is charged before decoding; past the budget they are decoded
// one at a time.

// decodeFactor is how many bytes of objects one byte of a frame can become: 84
// measured over the slices of all messages kmsg has, and room for the maps in
// which it keeps tags that it does not know.
const decodeFactor = 128

// smallControl: what a frame up to this size became is not worth counting once
// it is decoded.
const smallControl = 4 << 10

// controlBudget is shared by all lanes. Requests that wait for something, a
// Join for the other members of its group, hold what they became for as long as
// they like: that never keeps others from being decoded, one at a time.
type controlBudget struct {
	mu         sync.Mutex
	limit      int64
	used       int64
	decoding   int // charged their worst case
	head, tail *reservedControl
}

// reservedControl is a call's place in the line for decoding.
type reservedControl struct {
	call  *call
	bytes int64
	next  *reservedControl
}

// fits: there is room for r, or nobody whose end is near is in the way.
func (b *controlBudget) fits(r *reservedControl) bool {
	return b.decoding == 0 || b.used+r.bytes <= b.limit
}

// take reserves r's bytes, or queues r and posts it once it has them.
func (b *controlBudget) take(r *reservedControl) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.head == nil && b.fits(r) {
		b.used += r.bytes
		b.decoding++
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

// give returns n bytes, decoded those who are done with decoding.
func (b *controlBudget) give(n int64, decoded int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.decoding -= decoded
	if b.used < 0 || b.decoding < 0 {
		panic("BUG: server: more control memory given back than was taken")
	}
	for r := b.head; r != nil && b.fits(r); r = b.head {
		b.used += r.bytes
		b.decoding++
		b.head = r.next
		if b.head == nil {
			b.tail = nil
		}
		r.call.conn.lane.loop.Post(r)
	}
}

// hold counts n bytes that a request of the address keeps while it waits. It is
// false when the address keeps a quarter of the budget already.
func (b *controlBudget) hold(a *account, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.parked > 0 && a.parked+n > b.limit/4 {
		return false
	}
	a.parked += n
	return true
}

// unhold ends a hold.
func (b *controlBudget) unhold(a *account, n int64) {
	b.mu.Lock()
	a.parked -= n
	b.mu.Unlock()
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
	k.charge, k.decoding = r.bytes, true
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
	} else if !k.keep() {
		return
	}
	k.handler.Serve(&k.Call)
}

// keep lets others be decoded while the request is served, which may take as
// long as the peer likes, and bounds what one address makes us keep that way.
func (k *call) keep() bool {
	c, b := k.conn, k.conn.lane.server.control
	b.give(0, 1)
	k.decoding = false
	if !b.hold(c.acct, k.charge) {
		c.warn(kindFrame, fmt.Errorf("%w: api key %d version %d: the waiting requests of %s hold a quarter of the control budget", ErrTooLarge, k.Key, k.Version, c.remote.Addr()))
		k.Silent()
		return false
	}
	k.held = k.charge
	return true
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
	if err := k.conn.lane.server.shapes.read(req, body); err != nil {
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

// settleCharge replaces the worst case by what the request really holds.
func (k *call) settleCharge(n int64) {
	if n < k.charge {
		k.conn.lane.server.control.give(k.charge-n, 0)
		k.charge = n
	}
}

// freeCharge gives the rest back.
func (k *call) freeCharge() {
	b := k.conn.lane.server.control
	if k.held > 0 {
		b.unhold(k.conn.acct, k.held)
		k.held = 0
	}
	if k.charge > 0 {
		n, decoded := k.charge, 0
		if k.decoding {
			decoded = 1
		}
		k.charge, k.decoding = 0, false
		b.give(n, decoded)
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
