// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/wire/api"
	"github.com/samsa-broker/samsa/wire/frame"
)

func size(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// What is not Kafka is told apart and closed at once, with one line that says
// what it looked like; another connection does not notice.
func TestForeignBytes(t *testing.T) {
	for _, tc := range []struct {
		name string
		send []byte
		line string
	}{
		{"http", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "looks like HTTP"},
		{"post", []byte("POST /topics HTTP/1.1\r\n\r\n"), "looks like HTTP"},
		{"http2", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "looks like HTTP/2"},
		{"tls", []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, "TLS handshake"},
		{"zookeeper", []byte("ruok"), "four-letter word"},
		{"zookeeper mntr", []byte("mntr\n"), "four-letter word"},
		{"redis", []byte("PING\r\n"), "Redis"},
		{"ssh", []byte("SSH-2.0-x\r\n"), "SSH"},
		{"zero", size(0), "a frame of 0 bytes"},
		{"tiny", append(size(7), make([]byte, 7)...), "a frame of 7 bytes"},
		{"minus one", size(0xffffffff), "a frame of -1 bytes"},
		{"most negative", size(0x80000000), "a frame of -2147483648 bytes"},
		{"huge", size(0x7fffffff), "socket.request.max.bytes"},
		{"unknown key", request(99, 0, 1, nil), "unknown api key 99 (version 0)"},
		{"negative key", request(-1, 0, 1, nil), "unknown api key -1"},
		{"unknown version", request(keyEcho, 9, 1, nil), "version 9, served are 0 to 3"},
		{"negative version", request(keyEcho, -1, 1, nil), "version -1, served are 0 to 3"},
		{"client id beyond the frame", append(size(10), 0, 1, 0, 0, 0, 0, 0, 1, 0x7f, 0xff), "malformed"},
		{"large frame of an unknown key", append(size(50<<20), append([]byte{0, 99, 0, 0, 0, 0, 0, 1}, make([]byte, 20000)...)...), "unknown api key 99"},
		{"large control frame", append(size(50<<20), append([]byte{0, 18, 0, 0, 0, 0, 0, 1}, make([]byte, 20000)...)...), "samsa.max.control.frame.bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, Limits{}, echo(keyEcho), versions())
			bystander := r.dial()
			bystander.send(request(keyEcho, 3, 1, []byte("x")))
			bystander.receive()
			c := r.dial()
			c.t = t
			c.send(tc.send)
			c.expectClosed()
			r.eventually("one line", func() bool { return len(r.warned()) == 1 })
			if line := r.warned()[0]; !strings.Contains(line, tc.line) || strings.Contains(line, "\n") {
				t.Errorf("the line is %q, want one with %q", line, tc.line)
			}
			bystander.send(request(keyEcho, 3, 2, []byte("x")))
			if id, _ := bystander.receive(); id != 2 {
				t.Error("the bystander noticed")
			}
		})
	}
}

func versions() api.Handler { return api.ApiVersions([]api.Range{{Key: 1, Min: 0, Max: 3}}) }

// Lines of one kind are limited; connections are closed all the same.
func TestLinesAreRateLimited(t *testing.T) {
	r := newRig(t, Limits{}, echo(keyEcho))
	for range 50 {
		c := r.dial()
		c.send([]byte("ruok"))
		c.expectClosed()
	}
	if n := len(r.warned()); n != 1 {
		t.Errorf("%d lines for 50 connections", n)
	}
}

// Random bytes, and good frames with random damage, never do more than end
// their own connection.
func TestRandomBytes(t *testing.T) {
	r := newRig(t, Limits{}, echo(keyEcho), versions(), api.Metadata(api.Deps{}))
	rnd := rand.New(rand.NewPCG(3, 4))
	bystander := r.dial()
	for i := range int32(200) {
		c := r.dial()
		var b []byte
		switch i % 3 {
		case 0:
			b = make([]byte, 1+rnd.IntN(200))
			for j := range b {
				b[j] = byte(rnd.Uint32())
			}
		case 1:
			b = request(18, int16(rnd.IntN(6)), i, blob(rnd, rnd.IntN(40)))
		case 2:
			b = request(keyEcho, int16(rnd.IntN(4)), i, blob(rnd, rnd.IntN(40)))
			b[4+rnd.IntN(len(b)-4)] ^= byte(1 << rnd.IntN(8))
		}
		_, _ = c.conn.Write(b)
		_ = c.conn.Close()
		bystander.send(request(keyEcho, 3, i, nil))
		if id, _ := bystander.receive(); id != i {
			t.Fatal("the bystander noticed")
		}
	}
}

func blob(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// ApiVersions of a version nobody knows gets a v0 body with error 35 and the
// table; so does a request whose header we cannot even know the shape of.
func TestUnknownApiVersions(t *testing.T) {
	r := newRig(t, Limits{}, echo(keyEcho), versions())
	c := r.dial()
	for _, version := range []int16{5, 1000, 32767, -1} {
		b := append(size(8), 0, 18, byte(version>>8), byte(version), 0, 0, 0, 9)
		c.send(b)
		id, body := c.receive()
		want := []byte{0, 35, 0, 0, 0, 1, 0, 1, 0, 0, 0, 3}
		if id != 9 || !bytes.Equal(body, want) {
			t.Fatalf("version %d: id %d, body %x, want %x", version, id, body, want)
		}
	}
	// A known one after it works on the same connection, with a v0 header.
	c.send(request(18, 3, 10, []byte{2, 'a', 2, '1', 0}))
	id, body := c.receive()
	if id != 10 || body[0] != 0 || body[1] != 0 || body[2] != 2 {
		t.Fatalf("id %d, body %x", id, body)
	}
	if len(frame.AppendResponseHeader(nil, frame.Header{Key: 18, Version: 3})) != 4 {
		t.Fatal("the response header of ApiVersions has tags")
	}
}
