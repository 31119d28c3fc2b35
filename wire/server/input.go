// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/samsa-broker/samsa/netpoll"
)

// input is the receiving half of a connection.
type input struct {
	conn             *conn
	recvOp           netpoll.Op
	intoOp, cancelOp *netpoll.Op // made when first needed
	recvOn, intoOn   bool        // under way
	canceling        bool
	eof              bool    // nothing follows the pieces
	pieces           []piece // received, not yet framed
	pieceBytes       int

	// A frame that did not lie in one receive buffer, its length prefix
	// included, is put together here.
	asm      []byte // slab; nil: none
	have     int
	need     int         // 0: not known yet
	room     reservation // of a frame larger than a receive buffer
	roomWait bool        // it stands in line for memory
	charged  int64       // granted to asm
	moved    int64       // when asm last grew
}

// piece is a received run of bytes.
type piece struct {
	ch   *chunk
	data []byte
}

const (
	prefixBytes = 4
	// With more than this received and not framed, receiving stops.
	pieceBytesUp, piecesUp = 64 << 10, 8
	// intoBytesFrom: a frame with more than this still to come is received
	// straight into its memory.
	intoBytesFrom = 32 << 10
	// intoStep is how much is received at once, so that progress shows.
	intoStep = 128 << 10
)

// receive keeps a receive operation going while input is wanted, and ends it
// while it is not.
func (in *input) receive() {
	c := in.conn
	if c.dead || c.eof || c.finished || c.canceling || c.intoOn {
		return
	}
	blocked := c.roomWait || c.pieceBytes > pieceBytesUp || len(c.pieces) > piecesUp ||
		c.short() && len(c.pieces)+c.length > 0
	into := c.asm != nil && c.need-c.have > intoBytesFrom && cap(c.asm) >= c.need
	switch {
	case c.recvOn && (blocked || into):
		c.stopReading()
	case !c.recvOn && into && len(c.pieces) == 0:
		c.intoOn = true
		if c.intoOp == nil {
			c.intoOp = &netpoll.Op{Kind: netpoll.RecvInto, Sock: c.sock, Done: c.onInto}
		}
		c.intoOp.Data = c.asm[c.have:min(c.need, c.have+intoStep)]
		c.lane.loop.Submit(c.intoOp)
	case !c.recvOn && !blocked && !into:
		c.recvOn, c.recvOp.Once = true, c.sips()
		c.lane.loop.Submit(&c.recvOp)
	}
}

// stopReading ends the armed receive; what still arrives is kept.
func (in *input) stopReading() {
	c := in.conn
	if c.recvOn && !c.canceling {
		c.canceling = true
		if c.cancelOp == nil {
			c.cancelOp = &netpoll.Op{Kind: netpoll.Cancel, Target: &c.recvOp, Done: c.onCancel}
		}
		c.lane.loop.Submit(c.cancelOp)
	}
}

// onCancel is Done of the Cancel; the receive has ended before it.
func (in *input) onCancel(*netpoll.Op) {
	c := in.conn
	c.canceling = false
	if c.dead {
		c.settle()
		return
	}
	c.advance()
}

// onRecv is Done of the multishot receive.
func (in *input) onRecv(op *netpoll.Op) {
	c := in.conn
	if op.N > 0 {
		ch, data := c.lane.received(c, op.Buf, op.N)
		if c.dead {
			c.lane.drop(ch)
		} else {
			c.touch()
			c.pieces = append(c.pieces, piece{ch, data})
			c.pieceBytes += op.N
		}
	}
	if !op.More {
		c.recvOn = false
		if c.dead {
			c.settle()
			return
		}
		if op.N == 0 && !errors.Is(op.Err, netpoll.ErrCanceled) {
			c.end(op.Err)
			return
		}
	}
	c.advance()
}

// onInto is Done of a receive into a large frame.
func (in *input) onInto(op *netpoll.Op) {
	c := in.conn
	c.intoOn = false
	if c.dead {
		c.freeAsm()
		c.settle()
		return
	}
	if op.N > 0 {
		c.touch()
		c.have += op.N
		c.moved = c.active
	}
	if op.Err != nil || op.N < len(op.Data) {
		c.freeAsm()
		c.end(op.Err)
		return
	}
	if c.have == c.need {
		c.assembled()
	}
	c.advance()
}

// stalled tells whether a large frame holds memory and does not move.
func (in *input) stalled(now int64) bool {
	c := in.conn
	return c.charged > 0 && c.asm != nil && now-c.moved > 2*int64(patrolPause)
}

// takeFrames makes requests of what was received, while the line has room.
func (in *input) takeFrames() {
	c := in.conn
	n := 0
	for n < len(c.pieces) && !c.dead && !c.roomWait && !c.crowdedLine() {
		p := &c.pieces[n]
		used := c.take(p)
		if c.dead {
			return // kill has given the pieces back
		}
		p.data = p.data[used:]
		c.pieceBytes -= used
		if len(p.data) == 0 {
			c.lane.drop(p.ch)
			n++
		}
	}
	if n > 0 {
		rest := copy(c.pieces, c.pieces[n:])
		clear(c.pieces[rest:])
		c.pieces = c.pieces[:rest]
	}
}

// take consumes bytes from the front of p: a whole frame in place, or what
// goes into the frame being put together.
func (in *input) take(p *piece) int {
	c := in.conn
	if c.asm == nil {
		total, ok := c.measure(p.data)
		if c.dead {
			return 0
		}
		if ok && total <= len(p.data) {
			p.ch.refs++
			c.arrive(p.data[prefixBytes:total], owner{ch: p.ch})
			return total
		}
		c.have, c.need = 0, total
		c.asm = c.lane.slabs.get(min(max(total, prefixBytes), netpoll.BufBytes))
		c.hold(cap(c.asm))
	}
	limit := c.need
	if c.need == 0 {
		limit = prefixBytes
	}
	n := copy(c.asm[c.have:min(limit, len(c.asm))], p.data)
	c.have += n
	c.grow()
	return n
}

// measure reads a length prefix; ok is false while it is incomplete. Lengths
// that cannot be kill the connection.
func (in *input) measure(b []byte) (total int, ok bool) {
	c := in.conn
	if len(b) < prefixBytes {
		return 0, false
	}
	size := int32(binary.BigEndian.Uint32(b))
	if !c.begun {
		if what := foreign(b); what != "" {
			c.warn(kindForeign, fmt.Errorf("%w: this looks like %s", ErrProtocol, what))
			return 0, false
		}
	}
	switch {
	case size < minFrame:
		c.warn(kindFrame, fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, size))
	case int(size) > c.lane.server.limits.FrameBytes:
		c.warn(kindFrame, fmt.Errorf("%w: %d bytes, socket.request.max.bytes is %d", ErrTooLarge, size, c.lane.server.limits.FrameBytes))
	default:
		return prefixBytes + int(size), true
	}
	return 0, false
}

// grow finds the frame being put together a larger place when it needs one,
// and passes it on when it is whole.
func (in *input) grow() {
	c := in.conn
	if c.need == 0 {
		if c.have < prefixBytes {
			return
		}
		total, ok := c.measure(c.asm[:c.have])
		if !ok {
			return
		}
		c.need = total
		c.move(min(total, netpoll.BufBytes))
	}
	switch {
	case c.have == c.need:
		c.assembled()
	case c.have == len(c.asm) && c.need > len(c.asm):
		c.enlarge()
	}
}

// move puts the frame into a slab of n bytes, which may be the one it is in.
func (in *input) move(n int) {
	c := in.conn
	if n <= cap(c.asm) {
		c.asm = c.asm[:n]
		return
	}
	b := c.lane.slabs.get(n)
	copy(b, c.asm[:c.have])
	c.hold(-cap(c.asm))
	if c.charged == 0 {
		c.hold(cap(b))
	}
	c.lane.slabs.put(c.asm)
	c.asm = b
}

// enlarge asks for the memory of a large frame, once its first receive buffer
// is full and it is known to be a request we serve.
func (in *input) enlarge() {
	c := in.conn
	if !c.admissible(c.asm[prefixBytes:c.have], c.need-prefixBytes) {
		return
	}
	c.room.bytes = int64(1) << slabClass(c.need)
	if c.lane.server.frames.reserve(&c.room) {
		c.enlarged()
		return
	}
	c.roomWait = true
	c.lane.server.waiting()
	c.lane.server.trim()
}

// enlarged has the memory.
func (in *input) enlarged() {
	c := in.conn
	c.charged = c.room.bytes
	c.moved = c.lane.loop.Now()
	c.move(c.need)
}

// Run implements netpoll.Message: the reservation was granted.
func (r *reservation) Run() {
	if r.purse != nil {
		r.purse.lane.server.waiting()
		r.purse.granted()
		return
	}
	c := r.conn
	c.roomWait = false
	c.lane.server.waiting()
	if c.dead {
		c.lane.server.frames.release(r.acct, r.bytes, true)
		c.settle()
		return
	}
	c.enlarged()
	c.advance()
}

// waiting tells the watchers how many frames wait.
func (s *Server) waiting() {
	if s.events.Waiting != nil {
		s.frames.mu.Lock()
		n := s.frames.waiting
		s.frames.mu.Unlock()
		s.events.Waiting(n)
	}
}

// assembled passes a frame that was put together on.
func (in *input) assembled() {
	c := in.conn
	frame, charged := c.asm[:c.need], c.charged
	c.asm, c.have, c.need, c.charged = nil, 0, 0, 0
	c.arrive(frame[prefixBytes:], owner{slab: frame, charged: charged})
}

// freeAsm gives up the frame being put together.
func (in *input) freeAsm() {
	c := in.conn
	if c.asm != nil {
		c.free1(owner{slab: c.asm, charged: c.charged})
		c.asm, c.charged = nil, 0
	}
}

// dropInput gives back everything received and not framed. A large frame that
// the kernel may still write into is freed when that ends.
func (in *input) dropInput() {
	c := in.conn
	for i := range c.pieces {
		if len(c.pieces[i].data) > 0 {
			c.lane.drop(c.pieces[i].ch)
		}
	}
	clear(c.pieces)
	c.pieces, c.pieceBytes = c.pieces[:0], 0
	if c.roomWait && c.lane.server.frames.cancel(&c.room) {
		c.roomWait = false
		c.lane.server.waiting()
	}
	if !c.intoOn {
		c.freeAsm()
	}
}
