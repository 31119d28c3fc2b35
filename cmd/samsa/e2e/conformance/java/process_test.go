// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package java

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e/conformance"
)

// process is a Java program that runs on its own.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	errs  bytes.Buffer
	ended chan error

	mu    sync.Mutex
	lines []string
}

func run(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, ended: make(chan error, 1)}
	p.cmd = exec.Command(conformance.Program(t, "java"), append([]string{"-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}, args...)...)
	p.cmd.Stderr = &tailWriter{buf: &p.errs}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for scan := bufio.NewScanner(out); scan.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, scan.Text())
			p.mu.Unlock()
		}
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		p.ended <- <-p.ended
		if t.Failed() {
			t.Logf("%v printed\n%s\n%s", args, p.tail(), p.errs.String())
		}
	})
	return p
}

func (p *process) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

func (p *process) tail() (text string) {
	for _, line := range p.said()[max(0, len(p.said())-30):] {
		text += line + "\n"
	}
	return text
}

// end waits for the end, after asking for it.
func (p *process) end(ask func()) {
	p.t.Helper()
	ask()
	select {
	case err := <-p.ended:
		p.ended <- err
	case <-time.After(60 * time.Second):
		p.t.Fatalf("%v did not end within 60 s:\n%s", p.cmd.Args, p.tail())
	}
}

func (p *process) stop() {
	p.t.Helper()
	p.end(func() { _ = p.cmd.Process.Signal(syscall.SIGTERM) })
}

// events are the lines of a verifiable tool with that name.
func (p *process) events(name string) (all []map[string]any) {
	for _, line := range p.said() {
		var e map[string]any
		if json.Unmarshal([]byte(line), &e) == nil && e["name"] == name {
			all = append(all, e)
		}
	}
	return all
}

// kafka-verifiable-producer and two kafka-verifiable-consumers of one group:
// what was acknowledged was consumed, once, and one takes over from the other.
func TestToolsVerifiable(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "verified", 4, nil)
	cp := conformance.ClassPath(t, "kafka39")
	consume := func() *process {
		return run(t, "-cp", cp, "org.apache.kafka.tools.VerifiableConsumer", "--bootstrap-server", b.Addr, "--topic", "verified", "--group-id", "g",
			"--verbose", "--session-timeout", "10000", "--reset-policy", "earliest")
	}
	consumers := []*process{consume(), consume()}
	produce := func(from int) *process {
		return run(t, "-cp", cp, "org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server", b.Addr, "--topic", "verified",
			"--max-messages", "1000", "--repeating-keys", "50", "--acks", "-1", "--value-prefix", fmt.Sprint(from))
	}
	acked := map[string]int{}
	wait := func(p *process) {
		t.Helper()
		p.end(func() {})
		data := p.events("tool_data")
		if len(data) != 1 || data[0]["acked"] != 1000.0 || data[0]["sent"] != 1000.0 {
			t.Fatalf("kafka-verifiable-producer: %v", data)
		}
		for _, e := range p.events("producer_send_success") {
			acked[e["value"].(string)]++
		}
	}
	consumed := func() error {
		got := map[string]int{}
		for _, c := range consumers {
			for _, e := range c.events("record_data") {
				got[e["value"].(string)]++
			}
		}
		for value := range acked {
			if got[value] != 1 {
				return fmt.Errorf("%s was consumed %d times; %d of %d values", value, got[value], len(got), len(acked))
			}
		}
		if len(got) != len(acked) {
			return fmt.Errorf("%d values consumed, %d acknowledged", len(got), len(acked))
		}
		return nil
	}
	e2e.Eventually(t, 60*time.Second, func() error {
		for i, c := range consumers {
			assigned := c.events("partitions_assigned")
			if len(assigned) == 0 || len(assigned[len(assigned)-1]["partitions"].([]any)) != 2 {
				return fmt.Errorf("consumer %d: %v", i, assigned)
			}
		}
		return nil
	})
	wait(produce(1))
	e2e.Eventually(t, 60*time.Second, consumed)
	consumers[0].stop()
	if len(consumers[0].events("shutdown_complete")) != 1 || len(consumers[0].events("record_data")) == 0 {
		t.Errorf("the first consumer: %s", consumers[0].tail())
	}
	wait(produce(2))
	e2e.Eventually(t, 60*time.Second, consumed)
	if len(acked) != 2000 {
		t.Errorf("%d values acknowledged", len(acked))
	}
	consumers[1].stop()
}

// Kafka Streams counts words at least once: it makes its internal topics, and
// a second run without local state goes on from the changelog.
func TestStreamsWordCount(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "lines", 2, nil)
	e2e.CreateTopic(t, b.Addr, "counts", 1, nil)
	cp := Compile(t, "java-streams", "WordCount") + ":" + conformance.ClassPath(t, "java-streams")
	want := map[string]string{}
	for run_, lines := range [][]string{{"all streams lead to kafka", "hello kafka streams", "join kafka summit"}, {"hello again kafka", "all the streams"}} {
		p := run(t, "-cp", cp, "WordCount", b.Addr, t.TempDir())
		e2e.Produce(t, b.Addr, "lines", int32(run_), lines)
		for _, line := range lines {
			for _, word := range bytes.Fields([]byte(line)) {
				var n int
				_, _ = fmt.Sscan(want[string(word)], &n)
				want[string(word)] = fmt.Sprint(n + 1)
			}
		}
		e2e.Eventually(t, 90*time.Second, func() error {
			got := map[string]string{}
			for _, r := range e2e.ReadAll(t, b.Addr, "counts", kgo.FetchMaxWait(100*time.Millisecond))[0] {
				got[r.Key] = r.Value
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Errorf("counted %v, want %v", got, want)
			}
			return nil
		})
		p.end(func() { _ = p.in.Close() })
	}
	_, said := tool(t, b.Addr, "topics --describe --exclude-internal --topic words-.*")
	for _, pattern := range []string{
		`Topic: words-counts-changelog\s+TopicId: \S+\s+PartitionCount: 2\s.*cleanup.policy=compact`,
		`Topic: words-counts-repartition\s+TopicId: \S+\s+PartitionCount: 2\s.*cleanup.policy=delete`,
	} {
		if !matches(pattern, said) {
			t.Errorf("no %s in\n%s", pattern, said)
		}
	}
}
