// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/wire/api"
)

// making is a Filler that gives content, n bytes of it, and fails when it has
// none left.
type making struct {
	content  []byte
	n        int
	busy     atomic.Bool
	overlap  *atomic.Bool
	released *atomic.Int32
}

func (m *making) File() vfs.File { return nil }
func (m *making) Off() int64     { return 0 }
func (m *making) Len() int       { return m.n }
func (m *making) Release() {
	if m.busy.Load() {
		m.overlap.Store(true)
	}
	m.released.Add(1)
}

func (m *making) Fill(p []byte) error {
	if !m.busy.CompareAndSwap(false, true) {
		m.overlap.Store(true)
	}
	defer m.busy.Store(false)
	if copy(p, m.content) < len(p) {
		return errors.New("nothing left")
	}
	m.content = m.content[len(p):]
	return nil
}

// fillServer answers with "<", bytes made as they are sent, "|", more of them, ">".
func fillServer(content []byte, short bool, overlap *atomic.Bool, released *atomic.Int32) api.Handler {
	return api.Handler{Key: 1, Max: 3, Raw: true, Serve: func(c *api.Call) {
		size := spanSizes[int(c.CorrelationID)%len(spanSizes)]
		made := content[11:]
		if short {
			made = made[:size[0]/2]
		}
		c.Begin()
		c.Out = append(c.Out, '<')
		c.AddFiller(&making{content: made, n: size[0], overlap: overlap, released: released})
		c.Out = append(c.Out, '|')
		c.AddFiller(&making{content: content[11+size[0]:], n: size[1], overlap: overlap, released: released})
		c.Out = append(c.Out, '>')
		c.Done()
	}}
}

// Bytes that are made while they are sent arrive as they were promised, beside
// one another and one at a time, also when some clients die waiting.
func TestFillers(t *testing.T) {
	content := pattern(5 << 20)
	var overlap atomic.Bool
	var released atomic.Int32
	r := newRig(t, Limits{ColdReads: 1}, fillServer(content, false, &overlap, &released))
	checkSpans(t, r, content, &released)
	before := released.Load()
	var clients []*client
	for i := range 12 {
		c := r.dial()
		c.send(request(1, 3, 5, nil))
		if i%3 == 0 {
			_ = c.conn.Close()
			continue
		}
		clients = append(clients, c)
	}
	for _, c := range clients {
		if _, body := c.receive(); len(body) != 4<<20+3 || !bytes.Equal(body[1:1+3<<20], content[11:11+3<<20]) {
			t.Fatalf("%d bytes", len(body))
		}
	}
	r.eventually("every one is released", func() bool { return released.Load() == before+24 })
	if overlap.Load() {
		t.Error("one was used twice at a time, or after its release")
	}
}

// What cannot be made closes the connection: half an answer must not be taken
// for a whole one.
func TestFillerFails(t *testing.T) {
	content := pattern(5 << 20)
	var overlap atomic.Bool
	var released atomic.Int32
	r := newRig(t, Limits{}, fillServer(content, true, &overlap, &released))
	c := r.dial()
	c.send(request(1, 3, 5, nil))
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := io.Copy(io.Discard, c.conn); err != nil && !errors.Is(err, io.EOF) && n > 2<<20 {
		t.Errorf("%d bytes, then %v", n, err)
	}
	r.eventually("both are released", func() bool { return released.Load() == 2 })
}
