// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/benchmarks/host"
)

// system is one broker under test, with its processes in a group of their own.
type system struct {
	id    string
	addr  string
	dir   string
	group *host.Group
	log   string // what its processes printed
	took  time.Duration
	adm   *kadm.Client // nil: there is nothing to administer
	extra func()       // ends what stands beside the group; may be nil
}

// kinds lists the systems there are, in the order of a report.
var kinds = []struct {
	id, story string
	start     func(e *environment, s *system) error
}{
	{"null", "the null broker: receive, check, write, answer; no broker does better", startNull},
	{"samsa", "Samsa as it ships: an ack means on disk", func(e *environment, s *system) error { return startSamsa(e, s, "journal") }},
	{"samsa-kafka", "Samsa with samsa.durability=kafka: an ack means in the page cache, as Kafka's does",
		func(e *environment, s *system) error { return startSamsa(e, s, "kafka") }},
	{"k39", "Kafka 3.9 with ZooKeeper, as it ships", func(e *environment, s *system) error { return startKafka39(e, s, "") }},
	{"k39-tuned", "Kafka 3.9, socket buffers on automatic, 2 network and 4 io threads",
		func(e *environment, s *system) error { return startKafka39(e, s, tuned) }},
	{"k4", "Kafka 4.x with KRaft, as it ships", func(e *environment, s *system) error { return startKafka4(e, s, "") }},
	{"k4-tuned", "Kafka 4.x, tuned likewise", func(e *environment, s *system) error { return startKafka4(e, s, tuned) }},
}

const tuned = "socket.send.buffer.bytes=-1\nsocket.receive.buffer.bytes=-1\nnum.network.threads=2\nnum.io.threads=4\n"

// environment is what starting a system takes.
type environment struct {
	dir     string // of the whole run
	bin     string // of Samsa
	self    string // of this program, which is the null broker, too
	jars    string // folder of the peers' jars
	cpus    string // of the brokers
	netpoll string // samsa.netpoll
	loops   string // samsa.event.loops
}

// start starts one system and waits until it answers.
func (e *environment) start(ctx context.Context, id string) (*system, error) {
	for _, k := range kinds {
		if k.id != id {
			continue
		}
		s := &system{id: id, dir: filepath.Join(e.dir, id)}
		s.log = filepath.Join(e.dir, id+".log")
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return nil, err
		}
		var err error
		if s.group, err = host.NewGroup(id, e.cpus); err != nil {
			return nil, err
		}
		began := time.Now()
		if err = k.start(e, s); err == nil {
			err = s.await(ctx)
		}
		s.took = time.Since(began)
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("%s does not start: %w%s", id, err, tail(s.log))
		}
		return s, nil
	}
	return nil, fmt.Errorf("no system %q: there are %s", id, strings.Join(systemIDs(), ", "))
}

func systemIDs() []string {
	var out []string
	for _, k := range kinds {
		out = append(out, k.id)
	}
	return out
}

// tail is the end of a log, to be shown behind an error.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return ""
	}
	return "\n" + string(b[max(0, len(b)-2000):])
}

// stop ends the system's processes.
func (s *system) stop() {
	if s.adm != nil {
		s.adm.Close()
	}
	s.group.Close()
	if s.extra != nil {
		s.extra()
	}
}

// run starts a process of the system, its output in the log.
func (s *system) run(cmd *exec.Cmd) error {
	f, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	return cmd.Start()
}

// await waits until the broker answers.
func (s *system) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *system) ping(ctx context.Context) error {
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return err
	}
	_ = c.Close()
	if s.id == "null" {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.addr))
	if err != nil {
		return err
	}
	adm := kadm.NewClient(cl)
	one, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := adm.ListBrokers(one); err != nil {
		adm.Close()
		return err
	}
	s.adm = adm
	return nil
}

// freeAddr is an address of the loopback interface that nobody listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func startNull(e *environment, s *system) (err error) {
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	return s.run(s.group.Command(e.self, "null", "--listen", s.addr, "--dir", s.dir))
}

func startSamsa(e *environment, s *system, durability string) (err error) {
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	args := []string{"start"}
	for _, o := range []string{
		"listeners=PLAINTEXT://" + s.addr, "log.dirs=" + s.dir, "samsa.durability=" + durability, "samsa.admin.listener=none",
		"auto.create.topics.enable=false", "group.initial.rebalance.delay.ms=0", "log.segment.delete.delay.ms=1000",
		"samsa.netpoll=" + e.netpoll, "samsa.event.loops=" + e.loops,
	} {
		args = append(args, "--override", o)
	}
	return s.run(s.group.Command(e.bin, args...))
}

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

func startKafka39(e *environment, s *system, more string) error {
	cp, err := e.classPath("kafka39")
	if err != nil {
		return err
	}
	zk, err := freeAddr()
	if err != nil {
		return err
	}
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	side, err := host.NewGroup(s.id+"_zookeeper", e.cpus)
	if err != nil {
		return err
	}
	s.extra = side.Close
	_, port, _ := net.SplitHostPort(zk)
	zoo := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\ntickTime=2000\nmaxSessionTimeout=600000\n",
		filepath.Join(e.dir, s.id+"-zk"), port)
	props := "broker.id=1\nlisteners=PLAINTEXT://" + s.addr + "\nlog.dirs=" + s.dir + "\nzookeeper.connect=" + zk +
		"\nzookeeper.session.timeout.ms=600000\n" + commonKafka + more
	log4j := "log4j.rootLogger=WARN, f\nlog4j.appender.f=org.apache.log4j.ConsoleAppender\nlog4j.appender.f.layout=org.apache.log4j.PatternLayout\n" +
		"log4j.appender.f.layout.ConversionPattern=[%d] %p %m (%c)%n\n"
	files, err := e.files(s.id, map[string]string{"zoo.properties": zoo, "server.properties": props, "log4j.properties": log4j})
	if err != nil {
		return err
	}
	logging := "-Dlog4j.configuration=file:" + files["log4j.properties"]
	z := append(jvm("256M", cp, e.dir), logging, "org.apache.zookeeper.server.quorum.QuorumPeerMain", files["zoo.properties"])
	if err := s.run(side.Command("java", z...)); err != nil {
		return err
	}
	if err := listens(zk); err != nil {
		return err
	}
	return s.run(s.group.Command("java", append(jvm("1G", cp, e.dir), logging, "kafka.Kafka", files["server.properties"])...))
}

func startKafka4(e *environment, s *system, more string) error {
	cp, err := e.classPath("kafka4")
	if err != nil {
		return err
	}
	control, err := freeAddr()
	if err != nil {
		return err
	}
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	props := "process.roles=broker,controller\nnode.id=1\nlisteners=PLAINTEXT://" + s.addr + ",CONTROLLER://" + control +
		"\nadvertised.listeners=PLAINTEXT://" + s.addr + "\ncontroller.listener.names=CONTROLLER\n" +
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\ncontroller.quorum.voters=1@" + control +
		"\nlog.dirs=" + s.dir + "\nbroker.session.timeout.ms=600000\nshare.coordinator.state.topic.replication.factor=1\n" +
		"share.coordinator.state.topic.min.isr=1\n" + commonKafka + more
	log4j := "rootLogger.level=warn\nrootLogger.appenderRef.f.ref=F\nappender.f.type=Console\nappender.f.name=F\n" +
		"appender.f.layout.type=PatternLayout\nappender.f.layout.pattern=[%d] %p %m (%c)%n\n"
	files, err := e.files(s.id, map[string]string{"server.properties": props, "log4j2.properties": log4j})
	if err != nil {
		return err
	}
	format := exec.Command("java", "-Xmx256M", "-cp", cp, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", files["server.properties"])
	if out, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("format: %w: %s", err, out)
	}
	args := append(jvm("1G", cp, e.dir), "-Dlog4j2.configurationFile="+files["log4j2.properties"], "kafka.Kafka", files["server.properties"])
	return s.run(s.group.Command("java", args...))
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
