// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/benchmarks/load"
)

// clientRows measure what official clients get out of a broker. Most of the time
// the client is what is measured; they say so by its processor time.
func clientRows() []row {
	figures := []figure{{"rate", "thousand records/s", false, 1, 1.1}, {"broker CPU", "CPU-s/Mmsg", true, 1.2, 1.6}}
	return []row{
		{id: "W20", story: "Kafka's own producer (Java, 3.9, ProducerPerformance), its defaults: 100 B records, idempotent, acks=all; bound by the client",
			within: 5 * time.Minute, figures: figures, run: official(2_000_000, javaProducer)},
		{id: "W20r", story: "librdkafka by kcat, its defaults: 100 B records, acks=all; bound by the client",
			within: 5 * time.Minute, figures: figures, run: official(2_000_000, kcat)},
		{id: "W20g", story: "franz-go, its defaults: 100 B records, idempotent, acks=all; bound by the client",
			within: 5 * time.Minute, figures: figures, run: official(2_000_000, franz)},
	}
}

// client produces n records out of a file of lines, 1,000 of them, and says how
// long its sending took.
type client func(s *slot, lines string, n int) (time.Duration, error)

// official lets a client produce records of 100 B, the tenth of them before as a
// warm-up of the broker.
func official(records int, c client) func(*slot) error {
	return func(s *slot) error {
		if isNull(s.sys.id) {
			return nil // it does not speak enough for a client
		}
		if err := s.create(6); err != nil {
			return err
		}
		lines := filepath.Join(s.env.dir, "lines.txt")
		if err := os.WriteFile(lines, noise(s.seed, 1000, 99), 0o644); err != nil {
			return err
		}
		warm, n := max(1000, s.work(records/10)/1000*1000), max(1000, s.work(records)/1000*1000)
		if _, err := c(s, lines, warm); err != nil {
			return err
		}
		var took time.Duration
		_, err := s.measure(func() (res load.Result, err error) {
			before := s.others
			took, err = c(s, lines, n)
			return load.Result{Took: took, CPU: s.others - before}, err
		})
		if err != nil {
			return err
		}
		s.figures["rate"] = float64(n) / 1e3 / took.Seconds()
		s.figures["broker CPU"] = s.cost / (float64(n) / 1e6)
		return s.holds(int64(warm + n))
	}
}

// noise is n lines of letters and figures.
func noise(seed uint64, n, length int) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
	rng := rand.New(rand.NewPCG(seed, 20))
	out := make([]byte, 0, n*(length+1))
	for range n {
		for range length {
			out = append(out, letters[rng.IntN(len(letters))])
		}
		out = append(out, '\n')
	}
	return out
}

// command runs a client to its end.
func (s *slot) command(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState != nil {
		s.others += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", cmd.Path, err, out[max(0, len(out)-500):])
	}
	return string(out), nil
}

// perSecond finds "N records sent, R records/sec", the last of which is the sum.
var perSecond = regexp.MustCompile(`(\d+) records sent, ([\d.]+) records/sec`)

func javaProducer(s *slot, lines string, n int) (time.Duration, error) {
	cp, err := s.env.classPath("kafka39")
	if err != nil {
		return 0, err
	}
	out, err := s.command(exec.CommandContext(s.ctx, "java", "-Xmx512M", "-server", "-XX:+UseG1GC", "-cp", cp, "org.apache.kafka.tools.ProducerPerformance",
		"--topic", s.topic, "--num-records", strconv.Itoa(n), "--payload-file", lines, "--throughput", "-1", "--producer-props", "bootstrap.servers="+s.sys.addr))
	if err != nil {
		return 0, err
	}
	found := perSecond.FindAllStringSubmatch(out, -1)
	if len(found) == 0 {
		return 0, fmt.Errorf("%w: ProducerPerformance says %q", load.ErrWrong, out)
	}
	last := found[len(found)-1]
	sent, _ := strconv.Atoi(last[1]) // both are figures by the expression
	rate, err := strconv.ParseFloat(last[2], 64)
	if err != nil || sent != n || rate <= 0 {
		return 0, fmt.Errorf("%w: ProducerPerformance sent %d of %d at %v a second", load.ErrWrong, sent, n, rate)
	}
	return time.Duration(float64(n) / rate * float64(time.Second)), nil
}

// kcat produces the lines again and again; its time is that of its process.
func kcat(s *slot, lines string, n int) (time.Duration, error) {
	began := time.Now()
	feed := fmt.Sprintf(`for i in $(seq %d); do cat "$0"; done | exec kcat -P -b "$1" -t "$2"`, n/1000)
	_, err := s.command(exec.CommandContext(s.ctx, "sh", "-c", feed, lines, s.sys.addr, s.topic))
	return time.Since(began), err
}

func franz(s *slot, _ string, n int) (time.Duration, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.sys.addr), kgo.DefaultProduceTopic(s.topic))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	value := noise(s.seed, 1, 99)
	var mu sync.Mutex
	var failed error
	cpu, began := ownCPU(), time.Now()
	for range n {
		cl.Produce(s.ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	err = cl.Flush(s.ctx)
	s.client = (ownCPU() - cpu).Seconds() / time.Since(began).Seconds()
	mu.Lock()
	defer mu.Unlock()
	return time.Since(began), errors.Join(err, failed)
}
