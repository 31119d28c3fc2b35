// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// A process that may open few descriptors lets in as many connections as leave
// its logs their share; the others wait and are let in later. Logs roll all the
// while, and one line says what to do.
func TestFewDescriptors(t *testing.T) {
	const few = 200
	bin := filepath.Join(t.TempDir(), "samsa")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", few, e2e.Binary(t))
	if err := os.WriteFile(bin, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, b: e2e.Start(t, e2e.Options{Bin: bin, Props: map[string]string{"log.segment.bytes": "16384", "socket.listen.backlog.size": "4096"}})}
	t.Cleanup(s.hangUp)
	s.v = newVictim(t, s.b)
	s.v.p99(500 * time.Millisecond)
	s.again()
	for i := range 2 * few {
		s.dial(i)
	}
	s.v.p99(2 * time.Second) // it goes on, through new segments
	files, err := filepath.Glob(filepath.Join(s.b.Dir, "victim-0", "*.log"))
	if err != nil || len(files) < 2 {
		t.Errorf("the victim's log has %d segments, %v", len(files), err)
	}
	if n := s.lines("RLIMIT_NOFILE"); n != 1 {
		t.Errorf("%d lines name RLIMIT_NOFILE:\n%s", n, s.b.Log())
	}
	s.over()
}

// The limit falls while the broker runs: accepting fails. It is tried again now
// and then, without spinning; who is connected is served; when there are
// descriptors again, so are the others.
func TestNoDescriptorsLeft(t *testing.T) {
	s := begin(t, map[string]string{"max.connections": "20"})
	for i := range 60 {
		s.dial(i)
	}
	e2e.Eventually(t, 10*time.Second, func() error {
		if s.lines("new connections wait") == 0 {
			return fmt.Errorf("max.connections is not reached:\n%s", s.b.Log())
		}
		return nil
	})
	var old unix.Rlimit
	if err := unix.Prlimit(s.b.PID(), unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 10, Max: old.Max}
	if err := unix.Prlimit(s.b.PID(), unix.RLIMIT_NOFILE, &none, nil); err != nil {
		t.Fatal(err)
	}
	s.hangUp() // there is room again, and accepting goes on
	for i := range 10 {
		s.dial(i)
	}
	before := s.processor()
	if full() {
		s.v.p99(6 * time.Second) // through a checkpoint, which finds no descriptor either
		before = s.processor()
	}
	s.v.p99(2 * time.Second)
	if busy := s.processor() - before; busy > 1500*time.Millisecond {
		t.Errorf("out of descriptors the broker used the processor for %v of 2 s", busy)
	}
	if n := s.lines("accept:"); n != 1 {
		t.Errorf("%d lines about accepting:\n%s", n, s.b.Log())
	}
	if err := unix.Prlimit(s.b.PID(), unix.RLIMIT_NOFILE, &old, nil); err != nil {
		t.Fatal(err)
	}
	ask := frame(kmsg.NewPtrApiVersionsRequest())
	for i, c := range s.conns {
		s.send(c, ask)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatalf("connection %d is not served: %v", i, err)
		}
	}
	s.over()
}

// processor is how long the broker has used processors.
func (s *scene) processor() time.Duration {
	s.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.b.PID()))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var user, system int64
	fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// A fetch of 100 MiB, and one of many partitions of a megabyte, by several
// readers at once in little memory: each gets as much as it may, at least the
// first batch, and the broker's memory stays as it was.
func TestLargeFetchesInLittleMemory(t *testing.T) {
	partitions := size(24, 400)
	s := begin(t, map[string]string{"fetch.max.bytes": fmt.Sprint(120 << 20)})
	e2e.CreateTopic(t, s.b.Addr, "large", int32(partitions), nil)
	value := strings.Repeat("l", 990_000)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for p := w; p < partitions; p += 4 {
				e2e.Produce(t, s.b.Addr, "large", int32(p), []string{value}, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(1<<20))
			}
		})
	}
	all.Wait()
	s.again()
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.MaxWaitMillis, req.SessionEpoch = 11, 1, 100<<20, 500, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "large"
	for p := range partitions {
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.PartitionMaxBytes, part.CurrentLeaderEpoch = int32(p), 1<<20, -1
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics = []kmsg.FetchRequestTopic{topic}
	ask := frame(req)
	want := min(partitions, 100) * len(value)
	for i := range size(4, 8) {
		c := s.dial(i)
		all.Go(func() { s.send(c, ask); s.receives(c, want) })
	}
	all.Wait()
	grown := s.resident() - s.before.resident
	t.Logf("%d readers of %.0f MiB each: resident memory %+.1f MiB", len(s.conns), mib(want), mib(grown))
	if grown > 32<<20 {
		t.Errorf("the broker grew by %.1f MiB", mib(grown))
	}
	s.over()
}

// receives reads n bytes, as slowly as they come.
func (s *scene) receives(c net.Conn, n int) {
	buf := make([]byte, 64<<10)
	for n > 0 {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		got, err := c.Read(buf)
		if err != nil {
			s.t.Errorf("%d bytes before the end: %v", n, err)
			return
		}
		n -= got
	}
}
