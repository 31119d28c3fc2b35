// SPDX-License-Identifier: Apache-2.0

//go:build linux

package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Crowd is very many connections, each of which sends a batch of one record now
// and then. One goroutine sends for all; each connection has one that waits.
type Crowd struct {
	topic string
	conns []*net.TCPConn
	out   [][]byte // a request to each partition
}

// OpenCrowd connects, and sends nothing yet.
func OpenCrowd(addr, topic string, partitions, conns int, shape Shape, seed uint64) (*Crowd, error) {
	c := &Crowd{topic: topic}
	rng, now := rand.New(rand.NewPCG(seed, 0)), time.Now().UnixMilli()
	for p := range partitions {
		c.out = append(c.out, produceRequest(topic, int32(p), 1, shape.batch(rng, now)))
	}
	for len(c.conns) < conns {
		one, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("load: connection %d: %w", len(c.conns)+1, err)
		}
		c.conns = append(c.conns, one.(*net.TCPConn))
	}
	return c, nil
}

// Close ends all connections.
func (c *Crowd) Close() {
	for _, one := range c.conns {
		_ = one.Close()
	}
}

// Run sends a request on every connection once a period, spread evenly, for so
// many rounds, and measures each from when it was due.
func (c *Crowd) Run(ctx context.Context, rounds int, period time.Duration) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, c.Close)
	defer stop()
	res := Result{Latency: NewLatency()}
	cpu, began := processCPU(), time.Now()
	due := make([]chan time.Time, len(c.conns))
	var mu sync.Mutex // of res.Latency
	var all sync.WaitGroup
	for i, one := range c.conns {
		due[i] = make(chan time.Time, rounds)
		all.Go(func() {
			if err := c.receive(one, int32(i%len(c.out)), rounds, due[i], &mu, res.Latency); err != nil {
				cancel(fmt.Errorf("load: connection %d of a crowd: %w", i, err))
			}
		})
	}
	for n := range rounds * len(c.conns) {
		i := n % len(c.conns)
		at := began.Add(time.Duration(n) * (period / time.Duration(len(c.conns))))
		waitUntil(at)
		if ctx.Err() != nil {
			break
		}
		due[i] <- at // has room for all rounds
		if _, err := c.conns[i].Write(c.out[i%len(c.out)]); err != nil {
			cancel(fmt.Errorf("load: connection %d of a crowd: %w", i, err))
		}
	}
	all.Wait()
	res.Took, res.CPU = time.Since(began), processCPU()-cpu
	res.Requests, res.Records = res.Latency.TotalCount(), res.Latency.TotalCount()
	if ctx.Err() != nil {
		return res, context.Cause(ctx)
	}
	return res, nil
}

// receive takes a connection's answers.
func (c *Crowd) receive(one *net.TCPConn, partition int32, rounds int, due <-chan time.Time, mu *sync.Mutex, took *hdrhistogram.Histogram) error {
	buf := make([]byte, 512)
	at := 4 + 4 + 1 + 1 + 1 + len(c.topic) + 1 // size, correlation id, tags, one topic, its name, one partition
	for range rounds {
		if _, err := io.ReadFull(one, buf[:4]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(buf))
		if n < at+6-4 || n > len(buf)-4 {
			return fmt.Errorf("%w: an answer of %d bytes", ErrWrong, n)
		}
		if _, err := io.ReadFull(one, buf[4:4+n]); err != nil {
			return err
		}
		if p, code := int32(binary.BigEndian.Uint32(buf[at:])), binary.BigEndian.Uint16(buf[at+4:]); p != partition || code != 0 {
			return fmt.Errorf("%w: partition %d answers code %d, asked for %d", ErrWrong, p, code, partition)
		}
		mu.Lock()
		_ = took.RecordValue(max(1, time.Since(<-due).Microseconds())) // above a minute: kept as nothing, and the slot fails by its time
		mu.Unlock()
	}
	return nil
}
