// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stuckReader asks for many megabytes and reads none of them.
func stuckReader(t *testing.T, b *Broker) *Raw {
	t.Helper()
	CreateTopic(t, b.Addr, "heavy", 1, nil)
	value := strings.Repeat("h", 900_000)
	Produce(t, b.Addr, "heavy", 0, []string{value, value, value, value, value, value, value, value}, kgo.ProducerBatchCompression(kgo.NoCompression()))
	r := Dial(t, b.Addr)
	for range 40 {
		if err := r.Send(FetchRequest("heavy", 0, 0, 50<<20)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// A peer that does not read its replies holds up nobody and costs no memory;
// when it reads at last, all replies are there, in order and whole.
func TestSlowReader(t *testing.T) {
	b := Start(t, Options{})
	before := resident(t, b.PID())
	stuck := stuckReader(t, b)
	CreateTopic(t, b.Addr, "beside", 1, nil)
	for i := range 20 {
		Produce(t, b.Addr, "beside", 0, []string{fmt.Sprint("served ", i)})
	}
	if grown := resident(t, b.PID()) - before; grown > 64<<20 && !raceEnabled {
		t.Errorf("40 unread replies of 7 MB grew the broker by %d MiB", grown>>20)
	}
	for i := range 40 {
		resp, err := stuck.Receive(FetchRequest("heavy", 0, 0, 50<<20))
		if err != nil {
			t.Fatalf("reply %d: %v", i, err)
		}
		if n := len(resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches); n < 7_000_000 {
			t.Fatalf("reply %d has %d bytes of records", i, n)
		}
	}
}

// A Produce with acks=0 is never answered: the next reply belongs to the next
// request. One that fails closes its connection, as Kafka does.
func TestAcksZeroIsSilent(t *testing.T) {
	b := Start(t, Options{})
	CreateTopic(t, b.Addr, "silent", 1, nil)
	r := Dial(t, b.Addr)
	for range 10 {
		req := ProduceRequest("silent", 0, Batch(-1, -1, -1, "unanswered"))
		req.Acks = 0
		if err := r.Send(req); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := r.Call(kmsg.NewPtrApiVersionsRequest())
	if err != nil || len(resp.(*kmsg.ApiVersionsResponse).ApiKeys) < 20 || r.correlation() != 11 {
		t.Fatalf("reply %d: %+v %v", r.correlation(), resp, err)
	}
	Eventually(t, 10*time.Second, func() error {
		if n := len(ReadAll(t, b.Addr, "silent")[0]); n != 10 {
			return fmt.Errorf("%d of 10 records", n)
		}
		return nil
	})
	bad := ProduceRequest("silent", 9, Batch(-1, -1, -1, "nowhere"))
	bad.Acks = 0
	if err := r.Send(bad); err != nil {
		t.Fatal(err)
	}
	closed(t, r.conn, 10*time.Second)
}

// Requests that were sent at once are answered in their order, whatever they are.
func TestPipelinedRepliesKeepTheirOrder(t *testing.T) {
	b := Start(t, Options{})
	CreateTopic(t, b.Addr, "pipe", 1, nil)
	r := Dial(t, b.Addr)
	var sent []kmsg.Request
	for i := range 60 {
		fetch := FetchRequest("pipe", 0, 0, 1<<20)
		fetch.MinBytes = 0
		describe := kmsg.NewPtrDescribeClusterRequest()
		for _, req := range []kmsg.Request{ProduceRequest("pipe", 0, Batch(-1, -1, -1, fmt.Sprint(i))), fetch, describe} {
			if err := r.Send(req); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, req)
		}
	}
	for i, req := range sent {
		resp, err := r.Receive(req)
		if err != nil || r.correlation() != int32(i+1) {
			t.Fatalf("reply %d has correlation id %d, %v", i+1, r.correlation(), err)
		}
		switch resp := resp.(type) {
		case *kmsg.ProduceResponse:
			if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != int64(i/3) {
				t.Fatalf("request %d stands at %d, error %d", i, p.BaseOffset, p.ErrorCode)
			}
		case *kmsg.FetchResponse:
			if p := resp.Topics[0].Partitions[0]; p.HighWatermark <= int64(i/3) {
				t.Fatalf("the fetch after produce %d sees %d records", i/3, p.HighWatermark)
			}
		}
	}
}

// closed waits until the broker has closed a connection.
func closed(t *testing.T, conn net.Conn, within time.Duration) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("still open after %v", within)
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
}

// connections.max.idle.ms closes who says nothing, and spares who waits for an
// answer, though for longer than that. (Kafka's selector counts the time from
// the last byte, too, but forgets about the request and would close both.)
func TestIdleConnectionsAreClosed(t *testing.T) {
	b := Start(t, Options{Props: map[string]string{"connections.max.idle.ms": "1000"}})
	CreateTopic(t, b.Addr, "idle", 1, nil)
	idle, busy := Dial(t, b.Addr), Dial(t, b.Addr)
	if _, err := idle.Call(kmsg.NewPtrApiVersionsRequest()); err != nil {
		t.Fatal(err)
	}
	poll := FetchRequest("idle", 0, 0, 1<<20)
	poll.MaxWaitMillis = 4000
	if err := busy.Send(poll); err != nil {
		t.Fatal(err)
	}
	closed(t, idle.conn, 20*time.Second)
	if _, err := busy.Receive(poll); err != nil {
		t.Errorf("a polling connection was closed: %v", err)
	}
}

// The limits of connections are Kafka's, rule by rule: cmd/samsa/e2e/conformance
// holds the same scripts against a real one.
func TestConnectionRules(t *testing.T) {
	for _, rule := range ConnectionRules {
		t.Run(rule.Name, func(t *testing.T) {
			t.Parallel()
			o, brokers := Options{Addr: FreeAddr(t), Props: maps.Clone(rule.Props)}, ""
			if rule.Two {
				brokers = FreeAddr(t)
				maps.Copy(o.Props, ListenerProps(o.Addr, brokers))
			}
			b := Start(t, o)
			if got := rule.Tell(t, b.Addr, brokers); !slices.Equal(got, rule.Want) {
				t.Errorf("told %q, want %q\n%s", got, rule.Want, b.Log())
			}
		})
	}
}

// queued.max.request.bytes: when requests under way hold as much, no more is
// read (Kafka's memory pool mutes its channels), and it goes on when there is
// room; small requests pass meanwhile. A request above socket.request.max.bytes
// closes its connection.
func TestRequestMemory(t *testing.T) {
	b := Start(t, Options{Props: map[string]string{"socket.request.max.bytes": "1048576", "queued.max.request.bytes": "1048576"}})
	CreateTopic(t, b.Addr, "queued", 1, nil)
	large := ProduceRequest("queued", 0, Batch(-1, -1, -1, strings.Repeat("q", 900_000)))
	first, second, small := Dial(t, b.Addr), Dial(t, b.Addr), Dial(t, b.Addr)
	first.id++
	bytes := kmsg.NewRequestFormatter().AppendRequest(nil, large, first.id)
	if _, err := first.conn.Write(bytes[:500_000]); err != nil {
		t.Fatal(err)
	}
	if ok, err := answered(small, 10*time.Second); !ok { // the first has its memory by now
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- second.Send(large) }()
	Eventually(t, 10*time.Second, func() error { return waitingFrames(b, 1) })
	if ok, err := answered(small, 10*time.Second); !ok {
		t.Fatalf("a small request beside them: %v", err)
	}
	if _, err := first.conn.Write(bytes[500_000:]); err != nil {
		t.Fatal(err)
	}
	for i, r := range []*Raw{first, second} {
		resp, err := r.Receive(large)
		if err != nil || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].BaseOffset != int64(i) {
			t.Fatalf("produce %d: %+v %v", i, resp, err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	over := Dial(t, b.Addr)
	_ = over.Send(ProduceRequest("queued", 0, Batch(-1, -1, -1, strings.Repeat("q", 1<<20))))
	closed(t, over.conn, 10*time.Second)
	Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(b.Log(), "socket.request.max.bytes is 1048576") {
			return fmt.Errorf("no line names the key:\n%s", b.Log())
		}
		return nil
	})
}

// waitingFrames wants n large frames to wait for memory.
func waitingFrames(b *Broker, n int) error {
	resp, err := http.Get("http://" + b.Admin + "/metrics")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(page), fmt.Sprintf("\nsamsa_frames_waiting_for_memory %d\n", n)) {
		err = fmt.Errorf("not %d frames wait for memory", n)
	}
	return err
}
