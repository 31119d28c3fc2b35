// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/wire/frame"
)

// wireClient asks and reads answers without allocating, so that what the
// process allocates is the broker's.
type wireClient struct {
	*client
	out, in []byte
}

func newWireClient(t *testing.T, b *broker) *wireClient {
	t.Helper()
	r := &rig{t: t, addr: b.addr}
	c := r.dial()
	_ = c.conn.SetDeadline(time.Now().Add(50 * time.Second))
	return &wireClient{client: c, out: make([]byte, 0, 64<<10), in: make([]byte, 1<<20)}
}

// begin starts a request in c.out; end fills in its length.
func (c *wireClient) begin(key, version int16) {
	c.out = append(c.out[:0], 0, 0, 0, 0)
	c.out = frame.AppendHeader(c.out, frame.Header{Key: key, Version: version, CorrelationID: 7, ClientID: wireID})
}

var wireID = []byte("wire")

// call sends c.out and returns the body of the answer.
func (c *wireClient) call(header int) []byte {
	binary.BigEndian.PutUint32(c.out, uint32(len(c.out)-4))
	if _, err := c.conn.Write(c.out); err != nil {
		c.t.Fatal(err)
	}
	if _, err := io.ReadFull(c.conn, c.in[:4]); err != nil {
		c.t.Fatal(err)
	}
	b := c.in[:binary.BigEndian.Uint32(c.in)]
	if _, err := io.ReadFull(c.conn, b); err != nil {
		c.t.Fatal(err)
	}
	return b[header:]
}

// oneBatch is a batch with one small record.
func oneBatch(t *testing.T, value string) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(batch.PlainHeader())
	b.Append(time.Now().UnixMilli(), []byte("key"), []byte(value))
	out, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), out...)
}
