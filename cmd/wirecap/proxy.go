// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/samsa-broker/samsa/wire/frame"
)

// frameMost is the largest frame that is passed on: Kafka's default for
// socket.request.max.bytes.
const frameMost = 100 << 20

// proxy passes frames on.
type proxy struct {
	broker, self string // addresses
	store        *store
	log          io.Writer
}

// serve accepts until the listener is closed, and returns when all
// connections are done.
func (p *proxy) serve(l net.Listener) error {
	var open sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			return err
		}
		mu.Lock()
		conns[client] = true
		mu.Unlock()
		open.Add(1)
		go func() {
			defer open.Done()
			if err := p.pass(client); err != nil {
				fmt.Fprintf(p.log, "wirecap: %s: %v\n", client.RemoteAddr(), err)
			}
			mu.Lock()
			delete(conns, client)
			mu.Unlock()
		}()
	}
	mu.Lock()
	for c := range conns {
		_ = c.Close()
	}
	mu.Unlock()
	open.Wait()
	return nil
}

// pass connects a client with the broker until one of them hangs up.
func (p *proxy) pass(client net.Conn) error {
	broker, err := net.Dial("tcp", p.broker)
	if err != nil {
		_ = client.Close()
		return fmt.Errorf("broker %s: %w", p.broker, err)
	}
	c := &conn{p: p}
	done := make(chan error, 2)
	go func() { done <- c.down(client, broker) }()
	go func() { done <- c.up(broker, client) }()
	err = <-done
	_ = client.Close()
	_ = broker.Close()
	<-done
	c.closed()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// conn is one client's connection: its requests that have no response yet, in
// order, which is the order of the responses.
type conn struct {
	p     *proxy
	mu    sync.Mutex
	asked []exchange
}

// down passes requests on.
func (c *conn) down(client io.Reader, broker io.Writer) error {
	for {
		body, err := readFrame(client)
		if err != nil {
			return err
		}
		x := exchange{request: body}
		if x.header, x.body, err = frame.ReadHeader(body); err != nil { // whatever it is, the broker shall see it
			x.header, _ = frame.ReadPreamble(body)
		}
		c.mu.Lock()
		c.asked = append(c.asked, x)
		c.mu.Unlock()
		if err := writeFrame(broker, body); err != nil {
			return err
		}
	}
}

// up passes responses on.
func (c *conn) up(broker io.Reader, client io.Writer) error {
	for {
		body, err := readFrame(broker)
		if err != nil {
			return err
		}
		x, err := c.answered(body)
		if err != nil {
			return err
		}
		if err := c.p.store.put(x); err != nil {
			return err
		}
		if err := writeFrame(client, redirect(x, c.p.self)); err != nil {
			return err
		}
	}
}

// answered finds what a response answers. Requests before it got none: those
// are Produce requests without acks.
func (c *conn) answered(response []byte) (exchange, error) {
	if len(response) < 4 {
		return exchange{}, fmt.Errorf("a response of %d bytes", len(response))
	}
	id := int32(binary.BigEndian.Uint32(response))
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.asked) > 0 {
		x := c.asked[0]
		c.asked = c.asked[1:]
		if x.header.CorrelationID == id {
			x.response = response
			return x, nil
		}
		if err := c.p.store.put(x); err != nil {
			return exchange{}, err
		}
	}
	return exchange{}, fmt.Errorf("a response to correlation id %d, which nobody asked with", id)
}

// closed records what is left: the broker hung up instead of answering it, or
// the client did not wait.
func (c *conn) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.asked {
		if err := c.p.store.put(x); err != nil {
			fmt.Fprintln(c.p.log, "wirecap:", err)
		}
	}
	c.asked = nil
}

// readFrame reads a frame without its length. Memory grows with what has come,
// not with what was announced.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int64(int32(binary.BigEndian.Uint32(size[:])))
	if n < 0 || n > frameMost {
		return nil, fmt.Errorf("a frame of %d bytes; up to %d are passed on", n, frameMost)
	}
	body, err := io.ReadAll(io.LimitReader(r, n))
	if err == nil && int64(len(body)) < n {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}

func writeFrame(w io.Writer, body []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...))
	return err
}
