// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// frame puts a length before bytes.
func frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// header is a request header v1: key, version, correlation id, client id.
func header(key, version int16) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 7)
	return append(b, 0, 1, 'x')
}

// What is not a Kafka request closes its connection at once, leaves one plain
// line in the log that says what it looked like, and disturbs nobody.
func TestWrongProtocols(t *testing.T) {
	b := Start(t, Options{})
	c := Client(t, b.Addr)
	for name, bytes := range map[string][]byte{
		"http":         []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"tls":          {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03},
		"negative":     {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"zero":         {0, 0, 0, 0, 0, 0, 0, 0},
		"two GiB":      {0x7f, 0xff, 0xff, 0xff, 0, 18, 0, 0},
		"unknown key":  frame(header(999, 0)),
		"old produce":  frame(append(header(0, -1), make([]byte, 20)...)),
		"next version": frame(append(header(3, 99), make([]byte, 20)...)),
		"short header": frame([]byte{0, 3, 0}),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", b.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(bytes); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := io.Copy(io.Discard, conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("still open after 10 s, %d bytes answered", n)
			}
		})
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := c.Ping(ctx); err != nil {
			t.Fatalf("after %s another connection does not answer: %v", name, err)
		}
		cancel()
	}
}

var article = map[string]string{"HTTP": "", "TLS": "a ", "ZooKeeper": "a "}

// The log says in one line what a stranger looked like, and many of them do
// not fill it.
func TestStrangersAreNamed(t *testing.T) {
	for said, hello := range map[string]string{"HTTP": "GET / HTTP/1.1\r\n\r\n", "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "ZooKeeper": "ruok"} {
		t.Run(said, func(t *testing.T) {
			b := Start(t, Options{})
			for range 50 {
				throw(t, b.Addr, []byte(hello))
			}
			Eventually(t, 5*time.Second, func() error {
				if n := strings.Count(b.Log(), "looks like "+article[said]+said); n != 1 {
					return fmt.Errorf("%d lines say %s:\n%s", n, said, b.Log())
				}
				return nil
			})
		})
	}
}

// Random and truncated frames of every key and version: no panic, an answer or
// a closed connection, and the broker serves on.
func TestRandomFrames(t *testing.T) {
	b := Start(t, Options{})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for key := range int16(80) {
		for range 6 {
			version := int16(rng.IntN(20))
			body := append(header(key, version), randomBody(rng, key, version)...)
			if rng.IntN(3) == 0 {
				body = body[:rng.IntN(len(body))]
			}
			throw(t, b.Addr, frame(body))
		}
	}
	if b.Exited() {
		t.Fatalf("the broker ended:\n%s", b.Log())
	}
	CreateTopic(t, b.Addr, "alive", 1, nil)
	Produce(t, b.Addr, "alive", 0, []string{"yes"})
}

// randomBody is noise, or a valid default request with a few bytes changed.
func randomBody(rng *rand.Rand, key, version int16) []byte {
	req := kmsg.RequestForKey(key)
	if req == nil || version > req.MaxVersion() || rng.IntN(3) == 0 {
		body := make([]byte, rng.IntN(200))
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
		return body
	}
	if s, ok := req.(interface{ Default() }); ok {
		s.Default()
	}
	req.SetVersion(version)
	body := req.AppendTo(nil)
	if req.IsFlexible() {
		body = append([]byte{0}, body...)
	}
	for range rng.IntN(4) {
		if len(body) > 0 {
			body[rng.IntN(len(body))] = byte(rng.Uint32())
		}
	}
	return body
}

// throw sends bytes and reads what comes until the connection idles or closes.
func throw(t *testing.T, addr string, bytes []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("the broker does not accept: %v", err)
	}
	defer conn.Close()
	_, _ = conn.Write(bytes)
	_ = conn.(*net.TCPConn).CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, _ = io.Copy(io.Discard, conn)
}

// A thousand connections announce 100 MiB each and send nothing more: memory
// grows by kilobytes a connection, and a client beside them is served.
func TestAnnouncedBytesAreNotAllocated(t *testing.T) {
	b := Start(t, Options{})
	c := Client(t, b.Addr)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	before := resident(t, b.PID())
	announce := binary.BigEndian.AppendUint32(nil, 100<<20)
	announce = append(announce, header(0, 9)...)
	for range 1000 {
		conn, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(announce); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Ping(ctx); err != nil {
		t.Fatalf("a client beside them: %v", err)
	}
	grown := resident(t, b.PID()) - before
	if limit := 64 << 20; grown > limit && !raceEnabled {
		t.Fatalf("1,000 announcements grew the broker by %d MiB", grown>>20)
	}
	t.Logf("1,000 announcements of 100 MiB: resident memory %+d KiB", grown>>10)
}

// resident is a process's resident memory in bytes, 0 where /proc is missing.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	var kib int
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &kib)
		}
	}
	return kib << 10
}

// topicID asks for a topic's id.
func topicID(t *testing.T, r *Raw, topic string) (id [16]byte) {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	named := kmsg.NewMetadataRequestTopic()
	named.Topic = kmsg.StringPtr(topic)
	req.Topics = []kmsg.MetadataRequestTopic{named}
	resp, err := r.Call(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.MetadataResponse).Topics[0].TopicID
}

// CVE-2018-1288: a client that fetches in the name of a replica moved the high
// watermark and lost data. Here it is refused, in every version and both places
// of the field, gets no records, and moves nothing.
func TestCVE2018_1288SpoofedReplicaID(t *testing.T) {
	b := Start(t, Options{})
	CreateTopic(t, b.Addr, "spoof", 1, nil)
	Produce(t, b.Addr, "spoof", 0, []string{"one", "two"})
	r := Dial(t, b.Addr)
	id := topicID(t, r, "spoof")
	for _, replica := range []int32{0, 1, 1001, 1<<31 - 1} {
		for version := int16(0); version <= 17; version++ {
			req := FetchRequest("spoof", 0, 0, 1<<20)
			req.Version, req.ReplicaID, req.Topics[0].TopicID = version, replica, id
			if version >= 15 { // before, the field ends the connection, as in Kafka
				req.ReplicaState.ID, req.ReplicaState.Epoch = replica, 1
			}
			resp, err := r.Call(req)
			if err != nil {
				t.Fatalf("replica %d, version %d: %v", replica, version, err)
			}
			p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
			if p.ErrorCode != kerr.TopicAuthorizationFailed.Code || len(p.RecordBatches) > 0 || p.HighWatermark >= 0 {
				t.Errorf("replica %d, version %d: code %d, %d bytes, high watermark %d", replica, version, p.ErrorCode, len(p.RecordBatches), p.HighWatermark)
			}
		}
	}
	resp, err := r.Call(FetchRequest("spoof", 0, 0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.HighWatermark != 2 {
		t.Errorf("a consumer afterwards: code %d, high watermark %d", p.ErrorCode, p.HighWatermark)
	}
}

// Asking for offsets in the name of a replica, or of a debugging consumer, gives
// what a client gets: nothing above the high watermark.
func TestSpoofedReplicaIDSeesWhatClientsSee(t *testing.T) {
	b := Start(t, Options{})
	CreateTopic(t, b.Addr, "spoof", 1, nil)
	Produce(t, b.Addr, "spoof", 0, []string{"one", "two"})
	r := Dial(t, b.Addr)
	for _, replica := range []int32{-1, -2, 0, 1, 1<<31 - 1} {
		list := kmsg.NewPtrListOffsetsRequest()
		list.Version, list.ReplicaID = 7, replica
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Timestamp = -1
		list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "spoof", Partitions: []kmsg.ListOffsetsRequestTopicPartition{part}}}
		resp, err := r.Call(list)
		if err != nil {
			t.Fatal(err)
		}
		if p := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.Offset != 2 {
			t.Errorf("ListOffsets of replica %d: code %d, offset %d", replica, p.ErrorCode, p.Offset)
		}
		epoch := kmsg.NewPtrOffsetForLeaderEpochRequest()
		epoch.Version, epoch.ReplicaID = 4, replica
		at := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		at.CurrentLeaderEpoch = -1
		epoch.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "spoof", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{at}}}
		if resp, err = r.Call(epoch); err != nil {
			t.Fatal(err)
		}
		if p := resp.(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.EndOffset != 2 {
			t.Errorf("OffsetForLeaderEpoch of replica %d: code %d, end %d", replica, p.ErrorCode, p.EndOffset)
		}
	}
}

// What only brokers ask each other closes the connection of a client, with one
// line about all of them, and changes nothing.
func TestInterBrokerRequestsOfClients(t *testing.T) {
	b := Start(t, Options{})
	CreateTopic(t, b.Addr, "here", 1, nil)
	for key, name := range map[int16]string{
		4: "LeaderAndISR", 5: "StopReplica", 6: "UpdateMetadata", 7: "ControlledShutdown",
		27: "WriteTxnMarkers", 56: "AlterPartition", 67: "AllocateProducerIDs",
	} {
		req := kmsg.RequestForKey(key)
		if req == nil || kmsg.NameForKey(key) != name {
			t.Fatalf("key %d is %s", key, kmsg.NameForKey(key))
		}
		if s, ok := req.(interface{ Default() }); ok {
			s.Default()
		}
		for version := int16(0); version <= req.MaxVersion(); version++ {
			req.SetVersion(version)
			r := Dial(t, b.Addr)
			if err := r.Send(req); err != nil {
				t.Fatal(err)
			}
			closed(t, r.conn, 10*time.Second)
		}
	}
	Produce(t, b.Addr, "here", 0, []string{"still led here"})
	if n := strings.Count(b.Log(), "unknown api key"); n != 1 {
		t.Errorf("%d lines:\n%s", n, b.Log())
	}
}
