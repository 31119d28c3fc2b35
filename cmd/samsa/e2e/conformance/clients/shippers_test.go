// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// lines is how many lines a shipper is given.
const lines = 2000

// rsyslog follows a file and ships its lines with omkafka: all arrive, once, in
// order, and so do those that are written after the broker was started again.
func TestShipperRsyslog(t *testing.T) {
	needs(t, "/usr/lib/*/rsyslog/omkafka.so")
	b := e2e.Start(t, e2e.Options{})
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			topic, dir := "rsyslog-"+codec, t.TempDir()
			e2e.CreateTopic(t, b.Addr, topic, 1, nil)
			file, conf := filepath.Join(dir, "lines"), filepath.Join(dir, "rsyslog.conf")
			var want []string
			for i := range 2 * lines {
				want = append(want, strings.TrimSpace(value(codec, i)))
			}
			appendTo(t, file, want[:lines])
			appendTo(t, conf, []string{
				fmt.Sprintf("global(workDirectory=%q)", dir),
				`module(load="imfile")`, `module(load="omkafka")`, `template(name="line" type="string" string="%msg%")`,
				fmt.Sprintf("input(type=\"imfile\" file=%q tag=\"story\" ruleset=\"ship\")", file),
				`ruleset(name="ship") {`,
				fmt.Sprintf("  action(type=\"omkafka\" broker=[%q] topic=%q template=\"line\" resubmitOnFailure=\"on\"", b.Addr, topic),
				fmt.Sprintf("    confParam=[\"compression.codec=%s\", \"queue.buffering.max.ms=20\", \"enable.idempotence=true\"])", codec), "}"})
			stop := daemon(t, "/usr/sbin/rsyslogd", "-n", "-f", conf, "-i", filepath.Join(dir, "pid"))
			arrive(t, b.Addr, topic, codec, want[:lines])
			b.Stop()
			b = b.Again()
			appendTo(t, file, want[lines:])
			arrive(t, b.Addr, topic, codec, want)
			stop()
			ends(t, b.Addr, topic, len(want))
		})
	}
}

// collectd takes values over its socket and ships them with write_kafka: all
// arrive, once, in order.
func TestShipperCollectd(t *testing.T) {
	needs(t, "/usr/lib/collectd/write_kafka.so")
	b := e2e.Start(t, e2e.Options{})
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			topic, dir := "collectd-"+codec, t.TempDir()
			e2e.CreateTopic(t, b.Addr, topic, 1, nil)
			socket, conf := filepath.Join(dir, "socket"), filepath.Join(dir, "collectd.conf")
			appendTo(t, conf, []string{
				`Hostname "samsa"`, "FQDNLookup false", "WriteThreads 1", `TypesDB "/usr/share/collectd/types.db"`, fmt.Sprintf("BaseDir %q", dir),
				"LoadPlugin unixsock", "<Plugin unixsock>", fmt.Sprintf("  SocketFile %q", socket), "</Plugin>",
				"LoadPlugin write_kafka", "<Plugin write_kafka>",
				fmt.Sprintf("  Property \"metadata.broker.list\" %q", b.Addr), fmt.Sprintf("  Property \"compression.codec\" %q", codec),
				`  Property "queue.buffering.max.ms" "100"`, fmt.Sprintf("  <Topic %q>", topic), "    Format Command", "  </Topic>", "</Plugin>"})
			stop := daemon(t, "/usr/sbin/collectd", "-f", "-C", conf, "-P", filepath.Join(dir, "pid"))
			var want []string
			conn := dial(t, socket)
			for i := range lines {
				fmt.Fprintf(conn, "PUTVAL samsa/story/gauge-%s interval=10 %d:%d\n", codec, 1700000000+i, i)
				want = append(want, fmt.Sprintf("PUTVAL samsa/story/gauge-%s interval=10.000 %d.000:%d", codec, 1700000000+i, i))
				if _, err := conn.Read(make([]byte, 256)); err != nil {
					t.Fatal(err)
				}
			}
			arrive(t, b.Addr, topic, codec, want)
			stop()
			ends(t, b.Addr, topic, len(want))
		})
	}
}

// needs finds a file that a Debian package brings.
func needs(t *testing.T, pattern string) {
	t.Helper()
	if found, _ := filepath.Glob(pattern); len(found) == 0 {
		t.Fatalf("%s is not installed: run cmd/samsa/e2e/conformance/peers/install shippers as root", pattern)
	}
}

func appendTo(t *testing.T, name string, text []string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(strings.Join(text, "\n") + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// daemon starts a program and returns what stops it with SIGTERM, at the
// latest at the test's end.
func daemon(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	if _, err := os.Stat(name); err != nil {
		t.Fatalf("%v: run cmd/samsa/e2e/conformance/peers/install shippers as root", err)
	}
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("%s did not stop within 30 s", name)
			<-exited
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, out.String())
		}
	}
	t.Cleanup(stop)
	return stop
}

// dial connects to a socket that a daemon opens.
func dial(t *testing.T, socket string) (conn net.Conn) {
	t.Helper()
	e2e.Eventually(t, 30*time.Second, func() (err error) {
		if conn, err = net.Dial("unix", socket); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("no socket yet: %w", err)
		}
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// arrive reads partition 0 of a topic until it has what is wanted, line by line;
// batches that the shipper's librdkafka could make smaller are compressed.
func arrive(t *testing.T, addr, topic, codec string, want []string) {
	t.Helper()
	c := e2e.Client(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	n, compressed := 0, 0
	for n < len(want) {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d lines arrived: %v", n, len(want), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if n >= len(want) || strings.TrimRight(string(r.Value), " \x00") != want[n] {
				t.Fatalf("line %d is %q, want %q", n, r.Value, want[min(n, len(want)-1)])
			}
			if n++; codecs[r.Attrs.CompressionType()] == codec {
				compressed++
			}
		})
	}
	if compressed < n/2 {
		t.Errorf("%d of %d lines came compressed with %s", compressed, n, codec)
	}
}

// ends checks that partition 0 of a topic has so many records and no more.
func ends(t *testing.T, addr, topic string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	found, err := kadm.NewClient(e2e.Client(t, addr)).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	if end, _ := found.Lookup(topic, 0); end.Offset != int64(want) {
		t.Errorf("%s ends at %d, want %d", topic, end.Offset, want)
	}
}
