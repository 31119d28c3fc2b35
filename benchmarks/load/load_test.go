// SPDX-License-Identifier: Apache-2.0

//go:build linux

package load_test

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/load"
	"github.com/samsa-broker/samsa/benchmarks/null"
)

// everywhere runs a story against the null broker, and against that in C where
// there is a compiler.
func everywhere(t *testing.T, story func(t *testing.T, addr string)) {
	t.Run("go", func(t *testing.T) { story(t, serve(t)) })
	bin := filepath.Join(t.TempDir(), "null-c")
	switch err := null.BuildC(bin); {
	case errors.Is(err, null.ErrNoCompiler):
		return
	case err != nil:
		t.Fatal(err)
	}
	t.Run("c", func(t *testing.T) { story(t, serveC(t, bin)) })
}

func serveC(t *testing.T, bin string) string {
	t.Helper()
	addr := free(t)
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(bin, port, t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func serve(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	b := null.New(t.TempDir())
	go func() { _ = b.Serve(ln) }() // ends with the listener
	return ln.Addr().String()
}

// What one side of the generator wrote the other reads: every record, in order.
func TestProducedIsFetched(t *testing.T) { everywhere(t, storyProducedIsFetched) }

func storyProducedIsFetched(t *testing.T, addr string) {
	ctx := t.Context()
	shape := load.Shape{Records: 3, RecordBytes: 100}
	p := load.Produce{Addr: addr, Topic: "orders", Partitions: 3, Conns: 2, Window: 4, Acks: 1, Shape: shape, Requests: 600, Seed: 1}
	got, err := p.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got.Records != 1800 || got.Bytes != int64(600*shape.BatchBytes()) || got.Latency.TotalCount() != 600 {
		t.Errorf("produced %+v", got)
	}
	from, until := map[int32]int64{0: 0, 1: 0, 2: 0}, map[int32]int64{0: 600, 1: 600, 2: 600}
	read, err := load.Fetch{Addr: addr, Topic: "orders", Consumers: 2, From: from, Until: until, Shape: shape, PartitionBytes: 1000}.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if read.Records < 3600 {
		t.Errorf("two consumers read %d records, want 3600", read.Records)
	}
}

// Compressed batches are about a quarter of what they hold.
func TestCodecsShrink(t *testing.T) {
	plain := load.Shape{Records: 16, RecordBytes: 1024}.BatchBytes()
	for _, c := range []load.Codec{load.LZ4, load.Zstd} {
		if n := (load.Shape{Records: 16, RecordBytes: 1024, Codec: c}).BatchBytes(); n < plain/5 || n > plain/3 {
			t.Errorf("codec %d makes %d bytes of %d", c, n, plain)
		}
	}
}

// A broker that answers something else is found out: a wrong shape means wrong
// batches, which the generator reads now and then.
func TestWrongBytesAreFound(t *testing.T) { everywhere(t, storyWrongBytesAreFound) }

func storyWrongBytesAreFound(t *testing.T, addr string) {
	ctx := t.Context()
	p := load.Produce{Addr: addr, Topic: "orders", Partitions: 1, Conns: 1, Window: 1, Acks: 1, Shape: load.Shape{Records: 1, RecordBytes: 100}, Requests: 10, Seed: 1}
	if _, err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	_, err := load.Fetch{Addr: addr, Topic: "orders", Consumers: 1, From: map[int32]int64{0: 0}, Until: map[int32]int64{0: 10}, Shape: load.Shape{Records: 1, RecordBytes: 90}}.Run(ctx)
	if !errors.Is(err, load.ErrWrong) {
		t.Errorf("reading with another shape: %v", err)
	}
}

// An open loop measures from when a request was due: when the broker is behind,
// that shows.
func TestOpenLoopKeepsItsRate(t *testing.T) { everywhere(t, storyOpenLoopKeepsItsRate) }

func storyOpenLoopKeepsItsRate(t *testing.T, addr string) {
	p := load.Produce{Addr: addr, Topic: "orders", Partitions: 1, Conns: 1, Window: 64, Acks: 1, Shape: load.Shape{Records: 1, RecordBytes: 100}, Requests: 200, Rate: 1000, Seed: 1}
	got, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Took < 190*time.Millisecond {
		t.Errorf("200 requests at 1,000 a second took %v", got.Took)
	}
}

// A consumer at the tail sees what is produced, with the offsets of the acks.
func TestTail(t *testing.T) { everywhere(t, storyTail) }

func storyTail(t *testing.T, addr string) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	shape := load.Shape{Records: 1, RecordBytes: 64}
	acked, seen := make(chan int64, 100), make(chan int64, 100)
	done := make(chan error, 1)
	go func() {
		_, err := load.Fetch{Addr: addr, Topic: "tail", Consumers: 1, From: map[int32]int64{0: 0}, Until: map[int32]int64{0: 50}, Shape: shape,
			Seen: func(_ int32, base, n int64, _ time.Time) {
				for i := range n {
					seen <- base + i
				}
			}}.Run(ctx)
		done <- err
	}()
	_, err := load.Produce{Addr: addr, Topic: "tail", Partitions: 1, Conns: 1, Window: 1, Acks: 1, Shape: shape, Requests: 50, Seed: 1,
		Sent: func(_ int32, base int64, _ time.Time) { acked <- base }}.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i := range int64(50) {
		if a, s := <-acked, <-seen; a != i || s != i {
			t.Fatalf("acknowledged %d, seen %d, want %d", a, s, i)
		}
	}
}

// Every connection of a crowd gets an answer to each of its requests.
func TestCrowd(t *testing.T) {
	everywhere(t, func(t *testing.T, addr string) {
		c, err := load.OpenCrowd(addr, "crowd", 6, 50, load.Shape{Records: 1, RecordBytes: 200}, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got, err := c.Run(t.Context(), 3, 100*time.Millisecond)
		if err != nil || got.Requests != 150 {
			t.Errorf("%d answers, want 150: %v", got.Requests, err)
		}
		if got.Took < 280*time.Millisecond {
			t.Errorf("three rounds of 100 ms took %v", got.Took)
		}
	})
}
