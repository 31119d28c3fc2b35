// SPDX-License-Identifier: Apache-2.0

// Package conformance holds the built samsa binary against the software its
// users have: stock clients, Kafka's own tools, and a real Kafka 3.9 with its
// ZooKeeper on the same directories.
//
// The tests are behind the build tag conformance. `make conformance` installs
// the peers (peers/install: Debian packages, and jars from Maven Central into
// .cache/peers) and runs them; nothing is skipped.
package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// install is what a missing peer's message names.
const install = "run cmd/samsa/e2e/conformance/peers/install as root"

// ClassPath is the class path of a peer, kafka39 or one of the others with jars.
func ClassPath(t testing.TB, peer string) string {
	t.Helper()
	root, err := e2e.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, ".cache", "peers", peer)
	if _, err := os.Stat(filepath.Join(dir, ".complete")); err != nil {
		t.Fatalf("%s: no jars of %s: %s", dir, peer, install)
	}
	return filepath.Join(dir, "*")
}

// Program finds a program that a test needs.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: %s", name, install)
	}
	return path
}

// Run runs a program with the given standard input and returns what it printed;
// it fails the test when the program fails or takes more than two minutes.
func Run(t testing.TB, stdin io.Reader, name string, args ...string) string {
	t.Helper()
	out, err := TryRun(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, tail(out))
	}
	return out
}

// TryRun is Run for programs that may fail.
func TryRun(t testing.TB, stdin io.Reader, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String() + errs.String(), err
	}
	return out.String(), nil
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// Java runs a main class of a peer.
func Java(t testing.TB, peer, class string, stdin io.Reader, args ...string) string {
	t.Helper()
	flags := []string{"-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", ClassPath(t, peer), class}
	return Run(t, stdin, Program(t, "java"), append(flags, args...)...)
}

// Kafka is a real Kafka 3.9 broker with a ZooKeeper of its own.
type Kafka struct {
	Addr string
	Dir  string // its log.dirs

	t       testing.TB
	zk      string // host:port of ZooKeeper
	cmd     *exec.Cmd
	logFile string
}

// StartZooKeeper starts Debian's ZooKeeper and returns its address.
func StartZooKeeper(t testing.TB) string {
	t.Helper()
	const jar = "/usr/share/java/zookeeper.jar"
	if _, err := os.Stat(jar); err != nil {
		t.Fatalf("%s: Debian's zookeeper is not installed: %s", jar, install)
	}
	addr, dir := e2e.FreeAddr(t), t.TempDir()
	_, port, _ := net.SplitHostPort(addr)
	cfg := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\ntickTime=1000\n", dir, port)
	if err := os.WriteFile(cfg, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(Program(t, "java"), "-Xmx256M", "-cp", jar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", cfg)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	e2e.Eventually(t, 60*time.Second, func() error { return zooKeeperServes(addr) })
	return addr
}

// zooKeeperServes asks a ZooKeeper for its state. One whose port is open may
// not have loaded its tree; what connects then may never be answered, and the
// Go client waits for that ten times its session's time.
func zooKeeperServes(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return fmt.Errorf("ZooKeeper does not listen: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, "srvr"); err != nil {
		return err
	}
	if state, err := io.ReadAll(conn); !strings.Contains(string(state), "Mode: standalone") {
		return fmt.Errorf("ZooKeeper does not serve yet: %q, %v", state, err)
	}
	return nil
}

// StartKafka starts a real Kafka 3.9 on a directory, with a ZooKeeper at zk.
func StartKafka(t testing.TB, zk, dir string, props map[string]string) *Kafka {
	t.Helper()
	return startKafka(t, "kafka39", zk, dir, props)
}

// startKafka is StartKafka for any of the peers that hold a broker.
func startKafka(t testing.TB, peer, zk, dir string, props map[string]string) *Kafka {
	t.Helper()
	k := &Kafka{t: t, zk: zk, Dir: dir, Addr: e2e.FreeAddr(t), logFile: filepath.Join(t.TempDir(), "server.log")}
	if first, _, _ := strings.Cut(props["listeners"], ","); first != "" {
		_, k.Addr, _ = strings.Cut(first, "://")
	}
	all := map[string]string{
		"broker.id": "0", "listeners": "PLAINTEXT://" + k.Addr, "log.dirs": dir, "zookeeper.connect": zk,
		"zookeeper.session.timeout.ms": "6000", "offsets.topic.num.partitions": "5", "offsets.topic.replication.factor": "1",
		"transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1", "transaction.state.log.num.partitions": "2",
		"group.initial.rebalance.delay.ms": "0", "log.cleaner.dedupe.buffer.size": "2097152",
	}
	for key, value := range props {
		all[key] = value
	}
	var text strings.Builder
	for key, value := range all {
		fmt.Fprintf(&text, "%s=%s\n", key, value)
	}
	conf := t.TempDir()
	write(t, filepath.Join(conf, "server.properties"), text.String())
	write(t, filepath.Join(conf, "log4j.properties"), "log4j.rootLogger=INFO, f\nlog4j.appender.f=org.apache.log4j.FileAppender\nlog4j.appender.f.File="+
		k.logFile+"\nlog4j.appender.f.layout=org.apache.log4j.PatternLayout\nlog4j.appender.f.layout.ConversionPattern=[%d] %p %m (%c)%n\n")
	k.cmd = exec.Command(Program(t, "java"), "-Xmx384M", "-XX:TieredStopAtLevel=1", "-Dlog4j.configuration=file:"+filepath.Join(conf, "log4j.properties"),
		"-cp", ClassPath(t, peer), "kafka.Kafka", filepath.Join(conf, "server.properties"))
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Kill)
	waitForPort(t, k.Addr, "Kafka")
	k.waitUntilServing()
	return k
}

// waitUntilServing waits until the broker knows a controller and itself: it
// answers before it has heard of either.
func (k *Kafka) waitUntilServing() {
	k.t.Helper()
	c := e2e.Client(k.t, k.Addr)
	defer c.Close()
	e2e.Eventually(k.t, 60*time.Second, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		m, err := kadm.NewClient(c).BrokerMetadata(ctx)
		if err == nil && (m.Controller < 0 || len(m.Brokers) == 0) {
			err = fmt.Errorf("controller %d, %d brokers", m.Controller, len(m.Brokers))
		}
		return err
	})
}

// Log is what the broker has logged.
func (k *Kafka) Log() string {
	text, _ := os.ReadFile(k.logFile)
	return string(text)
}

// Kill ends Kafka with SIGKILL.
func (k *Kafka) Kill() {
	if k.cmd != nil {
		_ = k.cmd.Process.Kill()
		_ = k.cmd.Wait()
		k.cmd = nil
	}
}

// Stop stops Kafka cleanly.
func (k *Kafka) Stop() {
	k.t.Helper()
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		k.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- k.cmd.Wait() }()
	select {
	case <-done:
		k.cmd = nil
	case <-time.After(60 * time.Second):
		k.t.Fatalf("Kafka did not stop within 60 s\n%s", tail(k.Log()))
	}
}

func waitForPort(t testing.TB, addr, what string) {
	t.Helper()
	e2e.Eventually(t, 60*time.Second, func() error {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return fmt.Errorf("%s does not listen: %w", what, err)
		}
		return conn.Close()
	})
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
