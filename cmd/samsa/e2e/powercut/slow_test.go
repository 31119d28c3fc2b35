// SPDX-License-Identifier: Apache-2.0

//go:build linux

package powercut

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// twoDisks starts a broker with one ordinary log directory and one on the rig,
// and returns a topic's partition on each.
func twoDisks(t *testing.T) (b *e2e.Broker, disk *Disk, onDisk, elsewhere int32) {
	t.Helper()
	at := needFuse(t)
	disk = NewDisk(4 << 30)
	unmount, err := Mount(disk, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unmount() })
	b = e2e.Start(t, e2e.Options{Dir: t.TempDir() + "," + at, Props: map[string]string{"samsa.journal.bytes": "1048576"}})
	e2e.CreateTopic(t, b.Addr, "spread", 4, nil)
	dirs, err := kadm.NewClient(e2e.Client(t, b.Addr)).DescribeAllLogDirs(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	onDisk, elsewhere = -1, -1
	for _, broker := range dirs {
		for dir, described := range broker {
			for p := range described.Topics["spread"] {
				if dir == at {
					onDisk = p
				} else {
					elsewhere = p
				}
			}
		}
	}
	if onDisk < 0 || elsewhere < 0 {
		t.Fatalf("the partitions do not spread over both directories: %v", dirs)
	}
	return b, disk, onDisk, elsewhere
}

// A directory in which every write takes a second slows itself only: the p99
// of the other at most doubles, with a steady stream into the slow one and
// with one append every 2 s, and requests that need no disk are answered.
func TestSlowDirectorySlowsItselfOnly(t *testing.T) {
	b, disk, slow, fast := twoDisks(t)
	quiet := p99(t, b.Addr, fast, 5*time.Second)
	disk.Slow(time.Second)
	for name, pause := range map[string]time.Duration{"steady": 0, "every 2 s": 2 * time.Second} {
		ctx, cancel := context.WithCancel(context.Background())
		go stream(ctx, b.Addr, slow, pause)
		worst := make(chan time.Duration)
		go func() { worst <- heartbeats(ctx, t, b) }()
		beside := p99(t, b.Addr, fast, 10*time.Second)
		cancel()
		if took := <-worst; took > time.Second {
			t.Errorf("%s: a request that needs no disk took %v", name, took)
		}
		t.Logf("%s: p99 %v alone, %v beside the slow directory", name, quiet, beside)
		if beside > 2*quiet+2*time.Millisecond {
			t.Errorf("%s: p99 %v, want at most twice %v", name, beside, quiet)
		}
	}
	disk.Slow(0)
}

// heartbeats asks for what needs no disk until ctx ends and returns the longest
// wait, after the first seconds: the write that shows that a directory is slow
// is made on a loop, once.
func heartbeats(ctx context.Context, t *testing.T, b *e2e.Broker) (worst time.Duration) {
	r := e2e.Dial(t, b.Addr)
	begun := time.Now()
	for ctx.Err() == nil {
		start := time.Now()
		if _, err := r.Call(kmsg.NewPtrApiVersionsRequest()); err != nil {
			t.Error(err)
			return worst
		}
		if start.Sub(begun) > 3*time.Second {
			worst = max(worst, time.Since(start))
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return worst
}

// stream produces to a partition until ctx ends.
func stream(ctx context.Context, addr string, partition int32, pause time.Duration) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(100))
	if err != nil {
		return
	}
	defer c.Close()
	for ctx.Err() == nil {
		c.Produce(ctx, &kgo.Record{Topic: "spread", Partition: partition, Value: make([]byte, 1000)}, nil)
		if pause > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

// p99 measures acks=all round trips of one connection to a partition.
func p99(t *testing.T, addr string, partition int32, span time.Duration) time.Duration {
	t.Helper()
	r := e2e.Dial(t, addr)
	var took []time.Duration
	for end := time.Now().Add(span); time.Now().Before(end); {
		start := time.Now()
		resp, err := r.Call(e2e.ProduceRequest("spread", partition, e2e.Batch(-1, -1, -1, "ping")))
		if err != nil {
			t.Fatal(err)
		}
		if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatalf("produce answered %d", code)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// An I/O error fences its directory: its partitions answer KAFKA_STORAGE_ERROR,
// the other directory's go on, and the broker says which directory and why.
func TestIOErrorFencesItsDirectory(t *testing.T) {
	b, disk, broken, healthy := twoDisks(t)
	disk.Break()
	const storageError = 56
	e2e.Eventually(t, 20*time.Second, func() error {
		resp, err := e2e.Dial(t, b.Addr).Call(e2e.ProduceRequest("spread", broken, e2e.Batch(-1, -1, -1, "lost")))
		if err != nil {
			return err
		}
		if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != storageError {
			return fmt.Errorf("answered %d", code)
		}
		return nil
	})
	resp, err := e2e.Dial(t, b.Addr).Call(e2e.ProduceRequest("spread", healthy, e2e.Batch(-1, -1, -1, "kept")))
	if err != nil {
		t.Fatal(err)
	}
	if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("the healthy directory answered %d", code)
	}
}
