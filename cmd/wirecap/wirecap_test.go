// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A client asks a broker that knows one answer through the proxy: the answer
// names the proxy, the file holds the bytes of both as they were sent, and a
// request that was not answered is written down, too.
func TestRecords(t *testing.T) {
	broker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	answer := kmsg.NewPtrMetadataResponse()
	answer.Version = 9
	answer.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: "real", Port: 9}}
	sent := answer.AppendTo([]byte{0, 0, 0, 7, 0})
	got := make(chan []byte, 2)
	go func() {
		conn, err := broker.Accept()
		if err != nil {
			return
		}
		for range 2 {
			body, _ := readFrame(conn)
			got <- body
			if body[1] == 3 {
				_ = writeFrame(conn, sent)
			}
		}
		conn.Close()
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &proxy{broker: broker.Addr().String(), self: "127.0.0.1:77", store: &store{dir: dir, software: "a broker", most: 1 << 20}, log: io.Discard}
	served := make(chan error, 1)
	go func() { served <- p.serve(l) }()

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(req kmsg.Request, version int16, id int32) {
		req.SetVersion(version)
		if _, err := conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("a/b c")).AppendRequest(nil, req, id)); err != nil {
			t.Fatal(err)
		}
	}
	ask(kmsg.NewPtrMetadataRequest(), 9, 7)
	received, err := readFrame(conn)
	if err != nil {
		t.Fatal(err)
	}
	back := kmsg.NewPtrMetadataResponse()
	back.Version = 9
	if err := back.ReadFrom(received[5:]); err != nil || back.Brokers[0].Host != "127.0.0.1" || back.Brokers[0].Port != 77 {
		t.Errorf("the client got %+v, %v", back.Brokers, err)
	}
	request := <-got
	ask(kmsg.NewPtrHeartbeatRequest(), 4, 8)
	<-got
	if _, err := readFrame(conn); err == nil {
		t.Error("the connection is still open")
	}
	l.Close()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	parts := sections(t, filepath.Join(dir, "metadata", "v9_a_b_c.txt"))
	if !bytes.Equal(parts["request"], request) || !bytes.Equal(parts["response"], sent) {
		t.Errorf("recorded %x and %x", parts["request"], parts["response"])
	}
	if parts := sections(t, filepath.Join(dir, "heartbeat", "v4_a_b_c.txt")); len(parts["request"]) == 0 || parts["response"] != nil {
		t.Errorf("recorded %v", parts)
	}
}

// Frames that cannot be are not passed on, and cost no memory.
func TestReadFrame(t *testing.T) {
	for _, text := range []string{"7fffffff", "80000000", "00000005aabb", "0000"} {
		in, _ := hex.DecodeString(text)
		if body, err := readFrame(bytes.NewReader(in)); err == nil {
			t.Errorf("%s: read %x", text, body)
		}
	}
}

func sections(t *testing.T, path string) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts, at := map[string][]byte{}, ""
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if line[0] == '#' {
			continue
		}
		if b, err := hex.DecodeString(line); err == nil {
			parts[at] = append(parts[at], b...)
		} else {
			at = line
		}
	}
	return parts
}
