// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

func TestMain(m *testing.M) {
	beFlooder()
	os.Exit(e2e.Main(m))
}

// frame is an encoded request.
func frame(req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("flood")).AppendRequest(nil, req, 1)
}

// announce is the head of a Produce that claims to be 100 MiB long.
func announce() []byte {
	b := frame(e2e.ProduceRequest("victim", 0, e2e.Batch(-1, -1, -1, "x")))
	binary.BigEndian.PutUint32(b, 100<<20)
	return b[:20]
}

// hello is the beginning of a TLS handshake.
var hello = append([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03}, make([]byte, 506)...)

// 100 MiB announced by 1,000 connections that send nothing more, a byte now and
// then, or 64 KiB: the announcement costs nothing, the bytes no more than the
// budget.
func TestAnnounced(t *testing.T) {
	for name, story := range map[string]struct{ first, drip int }{
		"nothing more": {}, "a trickle": {drip: 1}, "64 KiB": {first: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, nil)
			head := append(announce(), make([]byte, story.first)...)
			for i := range 1000 {
				s.send(s.dial(i), head)
			}
			if story.drip > 0 {
				defer s.drip(size(200*time.Millisecond, time.Second))()
			}
			s.judge()
			s.over()
		})
	}
}

// drip sends a byte on every connection of the flood again and again; the
// returned function ends it.
func (s *scene) drip(pause time.Duration) (stop func()) {
	quit := make(chan struct{})
	var ended sync.WaitGroup
	conns := s.conns
	ended.Go(func() {
		pace := time.NewTicker(pause)
		defer pace.Stop()
		for {
			for _, c := range conns {
				s.send(c, []byte{0})
			}
			select {
			case <-quit:
				return
			case <-pace.C:
			}
		}
	})
	return func() { close(quit); ended.Wait() }
}

// Slowloris: thousands of connections that send a byte in ten seconds (one here,
// by default), having got to half a length, half a header, half a body and half
// a TLS handshake.
func TestSlowloris(t *testing.T) {
	s := begin(t, nil)
	whole := frame(e2e.ProduceRequest("victim", 0, e2e.Batch(-1, -1, -1, strings.Repeat("x", 2000))))
	starts := [][]byte{whole[:2], whole[:9], whole[:300], whole[:13]}
	for i := range size(1500, 9000) {
		s.send(s.dial(i), starts[i%len(starts)])
	}
	stop := s.drip(size(time.Second, 10*time.Second))
	for range size(1, 5) {
		s.judge()
	}
	stop()
	s.over()
}

// fill makes a topic of some megabytes.
func fill(t *testing.T, b *e2e.Broker, topic string, mebibytes int) {
	t.Helper()
	e2e.CreateTopic(t, b.Addr, topic, 1, nil)
	for range mebibytes {
		e2e.Produce(t, b.Addr, topic, 0, []string{strings.Repeat("h", 900_000)}, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
}

// Readers that ask for megabytes, again and again, and never read.
func TestReadersThatNeverRead(t *testing.T) {
	s := begin(t, nil)
	s.deaf = true
	fill(t, s.b, "heavy", 8)
	s.again()
	ask := frame(e2e.FetchRequest("heavy", 0, 0, 50<<20))
	for i := range size(300, 1000) {
		c := s.dial(i)
		for range 20 {
			s.send(c, ask)
		}
	}
	s.judge()
	s.over()
}

// Producers that send as much as the broker takes and never read an answer.
func TestProducersThatNeverRead(t *testing.T) {
	s := begin(t, nil)
	s.deaf = true
	e2e.CreateTopic(t, s.b.Addr, "unread", 8, nil)
	for i := range int32(8) {
		e2e.Produce(t, s.b.Addr, "unread", i, []string{"the first"})
	}
	s.again()
	conns := size(300, 1000)
	for i := range conns {
		c := s.dial(i)
		one := frame(e2e.ProduceRequest("unread", int32(i%8), e2e.Batch(-1, -1, -1, strings.Repeat("u", 900))))
		burst := []byte(strings.Repeat(string(one), 60))
		s.send(c, burst)
	}
	s.judge()
	s.over()
}

// Answers that are larger than their questions, hundreds in line, nobody reads.
func TestQuestionsThatNobodyReads(t *testing.T) {
	s := begin(t, nil)
	s.deaf = true
	ask := kmsg.NewPtrApiVersionsRequest()
	ask.Version = 2
	burst := []byte(strings.Repeat(string(frame(ask)), 600))
	for i := range size(300, 1000) {
		s.send(s.dial(i), burst)
	}
	s.judge()
	s.over()
}

// Pipelining as deep as it goes: every connection sends thousands of requests
// at once and then reads all the answers, which are all there and in order.
func TestDeepPipelines(t *testing.T) {
	s := begin(t, nil)
	const deep = 3000
	one := frame(kmsg.NewPtrApiVersionsRequest())
	burst := []byte(strings.Repeat(string(one), deep))
	for at := range deep { // each with its own correlation id
		binary.BigEndian.PutUint32(burst[at*len(one)+8:], uint32(at))
	}
	var all sync.WaitGroup
	for i := range size(20, 200) {
		c := s.dial(i)
		all.Go(func() { _, _ = c.Write(burst) })
		all.Go(func() { readAnswers(t, c, deep) })
	}
	all.Wait()
	s.over()
}

// readAnswers reads n answers, which come in order.
func readAnswers(t *testing.T, c net.Conn, n int) {
	in := bufio.NewReaderSize(c, 64<<10)
	for at := range n {
		var head [8]byte
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadFull(in, head[:]); err != nil {
			t.Errorf("answer %d: %v", at, err)
			return
		}
		if id := binary.BigEndian.Uint32(head[4:]); int(id) != at {
			t.Errorf("answer %d has correlation id %d", at, id)
			return
		}
		if _, err := in.Discard(int(binary.BigEndian.Uint32(head[:])) - 4); err != nil {
			t.Errorf("answer %d: %v", at, err)
			return
		}
	}
}
