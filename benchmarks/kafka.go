// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/host"
)

const tuned = "socket.send.buffer.bytes=-1\nsocket.receive.buffer.bytes=-1\nnum.network.threads=2\nnum.io.threads=4\n"

const commonKafka = `num.partitions=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.hours=168
log.segment.delete.delay.ms=1000
`

// jvm is how Kafka's own scripts start a JVM with a heap of the given size.
func jvm(heap, cp, log string) []string {
	return []string{
		"-Xmx" + heap, "-Xms" + heap, "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
		"-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true", "-Dkafka.logs.dir=" + log, "-cp", cp,
	}
}

func (e *environment) classPath(peer string) (string, error) {
	dir := filepath.Join(e.jars, peer)
	if _, err := os.Stat(filepath.Join(dir, ".complete")); err != nil {
		return "", fmt.Errorf("no jars of %s in %s: run make bench-deps", peer, e.jars)
	}
	return filepath.Join(dir, "*"), nil
}

// kafka39 is Kafka 3.9 and its ZooKeeper, with further properties.
type kafka39 struct{ more string }

func (k kafka39) start(e *environment, s *system) error {
	cp, err := e.classPath("kafka39")
	if err != nil {
		return err
	}
	zk, err := freeAddr()
	if err != nil {
		return err
	}
	if s.side, err = host.NewGroup(s.name+"_zookeeper", e.cpus); err != nil {
		return err
	}
	data := filepath.Join(e.dir, s.name+"-zk")
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(zk)
	zoo := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\ntickTime=2000\nmaxSessionTimeout=600000\n",
		data, port)
	props := "broker.id=1\nlisteners=PLAINTEXT://" + s.addr + "\nlog.dirs=" + s.dir + "\nzookeeper.connect=" + zk +
		"\nzookeeper.session.timeout.ms=" + strconv.FormatInt(s.session.Milliseconds(), 10) + "\n" + commonKafka + k.more
	log4j := "log4j.rootLogger=WARN, f\nlog4j.appender.f=org.apache.log4j.ConsoleAppender\nlog4j.appender.f.layout=org.apache.log4j.PatternLayout\n" +
		"log4j.appender.f.layout.ConversionPattern=[%d] %p %m (%c)%n\n"
	files, err := e.files(s.name, map[string]string{"zoo.properties": zoo, "server.properties": props, "log4j.properties": log4j})
	if err != nil {
		return err
	}
	logging := "-Dlog4j.configuration=file:" + files["log4j.properties"]
	z := append(jvm("256M", cp, e.dir), logging, "org.apache.zookeeper.server.quorum.QuorumPeerMain", files["zoo.properties"])
	if err := s.run(s.side.Command("java", z...)); err != nil {
		return err
	}
	if err := listens(zk); err != nil {
		return err
	}
	args := append(jvm("1G", cp, e.dir), logging, "kafka.Kafka", files["server.properties"])
	s.boot = func() error { return s.run(s.group.Command("java", args...)) }
	return nil
}

// kafka4 is Kafka 4.x as its own controller, with further properties.
type kafka4 struct{ more string }

func (k kafka4) start(e *environment, s *system) error {
	cp, err := e.classPath("kafka4")
	if err != nil {
		return err
	}
	control, err := freeAddr()
	if err != nil {
		return err
	}
	props := "process.roles=broker,controller\nnode.id=1\nlisteners=PLAINTEXT://" + s.addr + ",CONTROLLER://" + control +
		"\nadvertised.listeners=PLAINTEXT://" + s.addr + "\ncontroller.listener.names=CONTROLLER\n" +
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\ncontroller.quorum.voters=1@" + control +
		"\nlog.dirs=" + s.dir + "\nbroker.session.timeout.ms=" + strconv.FormatInt(s.session.Milliseconds(), 10) + "\nshare.coordinator.state.topic.replication.factor=1\n" +
		"share.coordinator.state.topic.min.isr=1\n" + commonKafka + k.more
	log4j := "rootLogger.level=warn\nrootLogger.appenderRef.f.ref=F\nappender.f.type=Console\nappender.f.name=F\n" +
		"appender.f.layout.type=PatternLayout\nappender.f.layout.pattern=[%d] %p %m (%c)%n\n"
	files, err := e.files(s.name, map[string]string{"server.properties": props, "log4j2.properties": log4j})
	if err != nil {
		return err
	}
	format := exec.Command("java", "-Xmx256M", "-cp", cp, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", files["server.properties"])
	if out, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("format: %w: %s", err, out)
	}
	args := append(jvm("1G", cp, e.dir), "-Dlog4j2.configurationFile="+files["log4j2.properties"], "kafka.Kafka", files["server.properties"])
	s.boot = func() error { return s.run(s.group.Command("java", args...)) }
	return nil
}

// files writes configuration files and returns their paths.
func (e *environment) files(id string, texts map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for name, text := range texts {
		out[name] = filepath.Join(e.dir, id+"-"+name)
		if err := os.WriteFile(out[name], []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// listens waits until somebody does.
func listens(addr string) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: nobody listens after 30 s: %w", addr, err)
		}
	}
}

// kafkaVersion reads the version out of the jars of a peer.
func kafkaVersion(jars, peer string) (string, error) {
	found, err := filepath.Glob(filepath.Join(jars, peer, "kafka-clients-*.jar"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%d jars of Kafka's clients in %s/%s, want one: run make bench-deps", len(found), jars, peer)
	}
	jar, err := zip.OpenReader(found[0])
	if err != nil {
		return "", err
	}
	defer jar.Close()
	text, err := fs.ReadFile(jar, "kafka/kafka-version.properties")
	if err != nil {
		return "", fmt.Errorf("%s: %w", found[0], err)
	}
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "version="); ok {
			return strings.TrimSpace(v), nil
		}
	}
	return "", fmt.Errorf("%s names no version", found[0])
}
