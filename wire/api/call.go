// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Call is one request on its way through the broker. The server owns it and
// reuses it after the reply; State alone survives, for the handler that put it
// there.
type Call struct {
	frame.Header
	// Body is the decoded request, nil for Raw handlers. It and all it holds
	// is ordinary memory that may be kept.
	Body kmsg.Request
	// Raw is the undecoded body for Raw handlers.
	Raw []byte
	// Client is who asks.
	Client Client
	// Out collects the encoded response, its length prefix first.
	Out []byte
	// State is the handler's own per-call memory, kept when the Call is used
	// again for the same key.
	State any

	carrier Carrier
	chunks  []Chunk
	spanned int // bytes in chunks
	later   laterReply
}

// Span is a run of bytes in a file, pinned until Release; *engine.Span is one.
type Span interface {
	File() vfs.File
	Off() int64
	Len() int
	Release()
}

// Filler is a Span whose bytes are in no file yet: the server has them made on
// the pool, piece by piece as it sends them. File and Off are not asked then.
type Filler interface {
	Span
	// Fill makes the next len(p) bytes. It runs on the pool, may block for as
	// long as others compute, and never runs twice at a time or after Release.
	Fill(p []byte) error
}

// Chunk says that Span goes out after Out[:At]; Filler is the same when it is one.
type Chunk struct {
	At     int
	Span   Span
	Filler Filler
}

// Prepare readies c for a request; it is called by the server (and by tests)
// before Serve.
func (c *Call) Prepare(carrier Carrier, h frame.Header) {
	c.Header, c.carrier = h, carrier
	c.Body, c.Raw = nil, nil
	c.Out = c.Out[:0]
	clear(c.chunks)
	c.chunks, c.spanned = c.chunks[:0], 0
	c.later.c = c
}

// Response returns an empty response to Body, of the same version.
func (c *Call) Response() kmsg.Response {
	r := c.Body.ResponseKind()
	r.SetVersion(c.Version)
	return r
}

// Begin starts the response in Out: room for the length, then the header. Raw
// handlers append the body behind it and end with Done.
func (c *Call) Begin() {
	c.Out = append(c.Out[:0], 0, 0, 0, 0)
	c.Out = frame.AppendResponseHeader(c.Out, c.Header)
}

// Reply answers with resp. Any goroutine may call it, once per Call.
func (c *Call) Reply(resp kmsg.Response) {
	c.Begin()
	c.Out = resp.AppendTo(c.Out)
	if c.carrier.OnLoop() {
		c.Done()
		return
	}
	c.carrier.Home().Post(&c.later)
}

// laterReply carries a reply made elsewhere back to the loop.
type laterReply struct{ c *Call }

// Run implements Task.
func (l *laterReply) Run() { l.c.Done() }

// ReplyAfter answers with resp once the returned function was called n times,
// from any goroutines; at once when n is 0.
func (c *Call) ReplyAfter(n int, resp kmsg.Response) func() {
	if n == 0 {
		c.Reply(resp)
		return func() {}
	}
	left := new(atomic.Int64)
	left.Store(int64(n))
	return func() {
		switch l := left.Add(-1); {
		case l == 0:
			c.Reply(resp)
		case l < 0:
			panic("BUG: api: a call was answered more often than announced")
		}
	}
}

// AddSpan puts the bytes of s behind what Out holds now. The span must stay
// where it is until the Call is used again (State is a good place); the server
// releases it once it is sent or the connection is gone.
func (c *Call) AddSpan(s Span) {
	c.chunks = append(c.chunks, Chunk{At: len(c.Out), Span: s})
	c.spanned += s.Len()
}

// AddFiller is AddSpan for bytes that are still to be made.
func (c *Call) AddFiller(f Filler) {
	c.AddSpan(f)
	c.chunks[len(c.chunks)-1].Filler = f
}

// Chunks are the spans of the response, for the server.
func (c *Call) Chunks() []Chunk { return c.chunks }

// DropChunks gives up the memory of the chunk list, for a server that keeps
// the Call after an unusually large response.
func (c *Call) DropChunks() { c.chunks = nil }

// Size is how many bytes the response has so far, spans included.
func (c *Call) Size() int { return len(c.Out) + c.spanned }

// Done sends what was appended to Out. The Call is the server's again.
func (c *Call) Done() {
	binary.BigEndian.PutUint32(c.Out, uint32(c.Size()-4))
	c.carrier.Done()
}

// Silent ends a request that gets no answer.
func (c *Call) Silent() { c.carrier.Silent() }

// Close hangs up: no answer would be right. err says why, for the log.
func (c *Call) Close(err error) { c.carrier.Close(err) }

// Placed says that a Produce stands in every queue it goes to.
func (c *Call) Placed() { c.carrier.Placed() }

// ReleaseFrame gives the memory under Raw back; Raw is nil afterwards.
func (c *Call) ReleaseFrame() {
	c.Raw = nil
	c.Header.ClientID = nil
	c.carrier.ReleaseFrame()
}

// Park waits: timeout runs after d (never when d is negative), and abort runs
// if the connection dies first; the handler must still end the Call then. At
// most one of the two runs, and neither after Unpark.
func (c *Call) Park(d time.Duration, timeout, abort Task) { c.carrier.Park(d, timeout, abort) }

// Unpark ends the wait that Park began.
func (c *Call) Unpark() { c.carrier.Unpark() }

// Go runs t on the bounded pool.
func (c *Call) Go(t Task) { c.carrier.Go(t) }

// Home is where completions for this call are posted: its loop.
func (c *Call) Home() Home { return c.carrier.Home() }

// Now is the loop's monotonic clock in nanoseconds.
func (c *Call) Now() int64 { return c.carrier.Now() }

// Home is a loop as lower rooms see it.
type Home interface{ Post(t Task) }
