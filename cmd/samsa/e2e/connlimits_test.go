// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// caller opens connections from one address and asks each a question.
type caller struct {
	t    *testing.T
	to   string
	from net.TCPAddr
}

// asked is a connection that has sent an ApiVersions request.
func (c *caller) asked() net.Conn {
	c.t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &c.from}).Dial("tcp", c.to)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 1)); err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// heard tells whether the broker says something within d; an error when it
// closes.
func heard(conn net.Conn, d time.Duration) (bool, error) {
	_ = conn.SetReadDeadline(time.Now().Add(d))
	n, err := conn.Read(make([]byte, 4))
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return false, nil
	}
	return n > 0, err
}

// Limits of connections act when they change while the broker runs, those of a
// single listener, too: per address a further connection is closed, per
// listener it waits until there is room.
func TestConnectionLimitsChange(t *testing.T) {
	b := Start(t, Options{})
	adm := kadm.NewClient(Client(t, b.Addr)) // keeps its connection
	set := func(key string, value *string) {
		t.Helper()
		op := kadm.SetConfig
		if value == nil {
			op = kadm.DeleteConfig
		}
		resps, err := adm.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Op: op, Name: key, Value: value}}, 0)
		if err = errors.Join(err, resps[0].Err); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	number := func(n int) *string { s := fmt.Sprint(n); return &s }

	few := caller{t, b.Addr, net.TCPAddr{IP: net.IPv4(127, 0, 0, 7)}}
	set("max.connections.per.ip", number(3))
	for i := range 3 {
		if ok, err := heard(few.asked(), 10*time.Second); !ok {
			t.Fatalf("connection %d of 3 is not answered: %v", i+1, err)
		}
	}
	if ok, err := heard(few.asked(), 10*time.Second); ok || err == nil {
		t.Errorf("connection 4 of 3 was not closed: answered %v, %v", ok, err)
	}
	set("max.connections.per.ip", number(5))
	if ok, err := heard(few.asked(), 10*time.Second); !ok {
		t.Errorf("after the limit rose connection 4 is not answered: %v", err)
	}
	set("max.connections.per.ip", nil)

	many := caller{t, b.Addr, net.TCPAddr{IP: net.IPv4(127, 0, 0, 8)}}
	set("listener.name.plaintext.max.connections", number(12))
	var waiting net.Conn
	for range 20 {
		conn := many.asked()
		ok, err := heard(conn, 500*time.Millisecond)
		if err != nil {
			t.Fatalf("a connection above the listener's limit must wait: %v", err)
		}
		if !ok {
			waiting = conn
			break
		}
	}
	if waiting == nil {
		t.Fatal("20 connections were answered where 12 are let in")
	}
	set("listener.name.plaintext.max.connections", number(30))
	if ok, err := heard(waiting, 10*time.Second); !ok {
		t.Errorf("after the limit rose the one that waited is not answered: %v", err)
	}
}
