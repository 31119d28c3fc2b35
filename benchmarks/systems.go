// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/benchmarks/host"
	"github.com/samsa-broker/samsa/benchmarks/null"
)

// system is one broker under test, with its processes in a group of their own.
type system struct {
	id    string // of its kind
	name  string // of this one: its folder, its group, its log
	addr  string
	dir   string
	group *host.Group
	side  *host.Group // of what it needs beside it (ZooKeeper); may be nil
	log   string      // what its processes printed
	boot  func() error
	// session is how long a Kafka's controller believes in a broker that is gone.
	session time.Duration
	began   time.Time // when its broker was last started
	took    time.Duration
	adm     *kadm.Client // nil: there is nothing to administer
}

// kind is a system there is.
type kind struct {
	id, story string
	start     func(e *environment, s *system) error
}

// kinds lists the systems, in the order of a report.
var kinds = append([]kind{
	{"null", "the null broker: receive, check, write, answer; no broker does better", startNull},
	{"null-c", "the null broker in C: what Go itself costs lies between the two", startNullC},
	{"samsa", "Samsa as it ships: an ack means on disk", samsa{}.start},
	{"samsa-kafka", "Samsa with samsa.durability=kafka: an ack means in the page cache, as Kafka's does", samsa{kafka: true}.start},
	{"samsa-garbage", "Samsa beside 400 MB of live heap and 300 MB/s of garbage", samsa{garbage: true}.start},
	{"k39", "Kafka 3.9 with ZooKeeper, as it ships", kafka39{}.start},
	{"k39-tuned", "Kafka 3.9, socket buffers on automatic, 2 network and 4 io threads", kafka39{tuned}.start},
	{"k4", "Kafka 4.x with KRaft, as it ships", kafka4{}.start},
	{"k4-tuned", "Kafka 4.x, tuned likewise", kafka4{tuned}.start},
}, variants()...)

// variants are Samsa on each backend, with one loop and two, in both modes.
func variants() []kind {
	var out []kind
	for _, netpoll := range []string{"uring", "epoll", "portable"} {
		for _, loops := range []string{"1", "2"} {
			for _, kafka := range []bool{false, true} {
				k := kind{id: "samsa-" + netpoll + "-" + loops, story: "Samsa on " + netpoll + ", " + loops + " of its loops",
					start: samsa{netpoll: netpoll, loops: loops, kafka: kafka}.start}
				if kafka {
					k.id += "-kafka"
					k.story += ", samsa.durability=kafka"
				}
				out = append(out, k)
			}
		}
	}
	return out
}

// ours tells whether a system is Samsa.
func ours(id string) bool { return strings.HasPrefix(id, "samsa") }

// null tells whether a system is a limit line.
func isNull(id string) bool { return id == "null" || id == "null-c" }

// environment is what starting a system takes.
type environment struct {
	dir     string                 // of the whole run
	bin     string                 // of Samsa
	self    string                 // of this program, which is the null broker, too
	jars    string                 // folder of the peers' jars
	cpus    string                 // of the brokers
	netpoll string                 // samsa.netpoll
	loops   string                 // samsa.event.loops
	garbage func() (string, error) // makes the binary that can make garbage
}

// start starts one system under its own id and waits until it answers.
func (e *environment) start(ctx context.Context, id string) (*system, error) {
	return e.startAs(ctx, id, id)
}

// startFresh starts one more of a kind, which may be killed and started again.
func (e *environment) startFresh(ctx context.Context, id string) (*system, error) {
	return e.startAs(ctx, id, id+"-fresh")
}

// startAs starts one of a kind under another name, its folder empty.
func (e *environment) startAs(ctx context.Context, id, name string) (*system, error) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.id == id })
	if i < 0 {
		return nil, fmt.Errorf("no system %q: there are %s", id, strings.Join(systemIDs(), ", "))
	}
	s := &system{id: id, name: name, dir: filepath.Join(e.dir, name), log: filepath.Join(e.dir, name+".log"),
		session: 10 * time.Minute} // it is frozen while others are measured
	if name != id { // it is not frozen, and may be killed
		s.session = 9 * time.Second // what Kafka 4.x ships with; 3.9 has twice that
	}
	err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o755))
	if err != nil {
		return nil, err
	}
	if s.group, err = host.NewGroup(name, e.cpus); err != nil {
		return nil, err
	}
	if s.addr, err = freeAddr(); err == nil {
		err = kinds[i].start(e, s)
	}
	if err == nil {
		err = s.again(ctx)
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("%s does not start: %w%s", name, err, tail(s.log))
	}
	return s, nil
}

// again starts the broker's process, whose folder may hold something, and waits
// until it answers.
func (s *system) again(ctx context.Context) error {
	s.began = time.Now()
	err := s.boot()
	if err == nil {
		err = s.await(ctx)
	}
	s.took = time.Since(s.began)
	return err
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

// end lets the broker's process end by a signal, and kills it when it takes
// longer than wait.
func (s *system) end(sig syscall.Signal, wait time.Duration) error { return s.group.End(sig, wait) }

// stop ends the system's processes.
func (s *system) stop() {
	if s.adm != nil {
		s.adm.Close()
	}
	s.group.Close()
	if s.side != nil {
		s.side.Close()
	}
}

// cpu is the processor time of all its processes.
func (s *system) cpu() time.Duration {
	if s.side != nil {
		return s.group.CPU() + s.side.CPU()
	}
	return s.group.CPU()
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
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *system) ping(ctx context.Context) error {
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return err
	}
	_ = c.Close()
	if isNull(s.id) {
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
	if s.adm != nil {
		s.adm.Close()
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

func startNull(e *environment, s *system) error {
	s.boot = func() error { return s.run(s.group.Command(e.self, "null", "--listen", s.addr, "--dir", s.dir)) }
	return nil
}

func startNullC(e *environment, s *system) error {
	bin := filepath.Join(e.dir, "null-c.bin")
	if _, err := os.Stat(bin); err != nil {
		if err := null.BuildC(bin); err != nil {
			return err
		}
	}
	_, port, _ := net.SplitHostPort(s.addr) // an address that was just listened on
	s.boot = func() error { return s.run(s.group.Command(bin, port, s.dir)) }
	return nil
}

// samsa is a way to start Samsa; what is empty is as the run's options say.
type samsa struct {
	netpoll, loops string
	kafka, garbage bool
}

func (k samsa) start(e *environment, s *system) error {
	bin, durability := e.bin, "journal"
	if k.kafka {
		durability = "kafka"
	}
	args := []string{"start"}
	for _, o := range []string{
		"listeners=PLAINTEXT://" + s.addr, "log.dirs=" + s.dir, "samsa.durability=" + durability, "samsa.admin.listener=none",
		"auto.create.topics.enable=false", "group.initial.rebalance.delay.ms=0", "log.segment.delete.delay.ms=1000",
		"samsa.netpoll=" + cmp.Or(k.netpoll, e.netpoll), "samsa.event.loops=" + cmp.Or(k.loops, e.loops),
	} {
		args = append(args, "--override", o)
	}
	if k.garbage {
		var err error
		if bin, err = e.garbage(); err != nil {
			return err
		}
	}
	s.boot = func() error {
		cmd := s.group.Command(bin, args...)
		if k.garbage {
			cmd.Env = append(os.Environ(), "SAMSA_GARBAGE=on")
		}
		return s.run(cmd)
	}
	return nil
}
