// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

const (
	// budgetBytes is samsa.memory.bytes of these brokers.
	budgetBytes = 32 << 20
	// fixedBytes is what a broker may take whoever comes: its receive buffers
	// (16 MiB a loop), and the garbage collector's room.
	fixedBytes = 48 << 20
	// connectionBytes is what a connection may hold for nothing: a receive
	// buffer, one being filled, and its own state.
	connectionBytes = 2*16<<10 + 12<<10
	// backlog is socket.listen.backlog.size.
	backlog = 4096
	// slack is the p99 that is good enough: below it the noise of a busy machine
	// decides, not the broker.
	slack = 20 * time.Millisecond
)

// scene is a broker, its victim, and how things stood before the flood.
type scene struct {
	t      *testing.T
	b      *e2e.Broker
	v      *victim
	before vitals
	base   time.Duration // the victim's p99 without the flood

	sent  atomic.Int64 // bytes of the flood
	conns []net.Conn   // open ones of the flood
	deaf  bool         // they do not read: the kernel shall not do it for them
}

// again takes the vitals anew, after the test has made what its flood is about.
func (s *scene) again() { s.before = s.vitals() }

// vitals are what a flood must not leave changed.
type vitals struct{ resident, descriptors, goroutines int }

// begin starts a broker with a victim and measures both.
func begin(t *testing.T, props map[string]string) *scene {
	t.Helper()
	all := map[string]string{
		"samsa.memory.bytes": fmt.Sprint(budgetBytes),
		// The disk's pace is not what is measured here.
		"samsa.durability": "kafka",
		// Kafka's 50 make the kernel drop the flood before the broker sees it.
		"socket.listen.backlog.size": fmt.Sprint(backlog),
	}
	maps.Copy(all, props)
	s := &scene{t: t, b: e2e.Start(t, e2e.Options{Props: all})}
	t.Cleanup(s.hangUp)
	s.v = newVictim(t, s.b)
	s.v.p99(300 * time.Millisecond) // warm
	s.base = s.v.p99(size(time.Second, 3*time.Second))
	s.before = s.vitals()
	return s
}

func (s *scene) vitals() vitals {
	s.t.Helper()
	goroutines, err := s.b.Runtime("/sched/goroutines:goroutines")
	if err != nil {
		s.t.Fatal(err)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.b.PID()))
	if err != nil {
		s.t.Fatal(err)
	}
	return vitals{s.resident(), len(fds), int(goroutines)}
}

// metric reads one of the broker's metrics that has no labels.
func (s *scene) metric(name string) float64 {
	s.t.Helper()
	resp, err := http.Get("http://" + s.b.Admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(page), "\n") {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return value
		}
	}
	s.t.Fatalf("there is no metric %s", name)
	return 0
}

// resident is the broker's resident memory.
func (s *scene) resident() int {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.b.PID()))
	if err != nil {
		s.t.Fatal(err)
	}
	var kib int
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &kib)
		}
	}
	return kib << 10
}

// dial opens a connection of the flood, from one of many loopback addresses.
func (s *scene) dial(i int) net.Conn {
	s.t.Helper()
	c, err := s.tryDial(i)
	if err != nil {
		s.t.Fatalf("connection %d: %v", i, err)
	}
	if tcp, ok := c.(*net.TCPConn); ok && s.deaf {
		_ = tcp.SetReadBuffer(4096)
	}
	s.conns = append(s.conns, c)
	return c
}

func (s *scene) tryDial(i int) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%200))}}
	return d.Dial("tcp", s.b.Addr)
}

// send writes what the broker takes within a moment, and tells how much.
func (s *scene) send(c net.Conn, p []byte) int {
	_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	n, _ := c.Write(p)
	s.sent.Add(int64(n))
	return n
}

// judge holds the broker and its victim against the bars while the flood
// stands.
func (s *scene) judge() {
	s.t.Helper()
	var p99 time.Duration
	limit := max(2*s.base, slack)
	for range 6 { // a busy machine spoils a window; a flood spoils all
		if p99 = s.v.p99(size(700*time.Millisecond, 5*time.Second)); p99 <= limit {
			break
		}
	}
	grown, sent := s.resident()-s.before.resident, int(s.sent.Load())
	// Twice what was sent might come on top; it is not needed.
	bound := budgetBytes + fixedBytes + len(s.conns)*connectionBytes
	s.t.Logf("%d connections, %.1f MiB sent: p99 %v (before: %v), resident memory %+.1f MiB (at most %.1f)", len(s.conns), mib(sent),
		p99.Round(10*time.Microsecond), s.base.Round(10*time.Microsecond), mib(grown), mib(bound))
	if p99 > limit {
		s.t.Errorf("the victim's p99 rose from %v to %v", s.base, p99)
	}
	if grown > bound {
		s.t.Errorf("the broker grew by %.1f MiB", mib(grown))
	}
}

// hangUp ends the flood's connections at once.
func (s *scene) hangUp() {
	for _, c := range s.conns {
		reset(c)
	}
	s.conns = nil
}

// over ends the flood and waits until nothing of it is left.
func (s *scene) over() {
	s.t.Helper()
	s.hangUp()
	e2e.Eventually(s.t, 30*time.Second, func() error {
		if s.b.Exited() {
			return errors.New("the broker ended")
		}
		now := s.vitals()
		// Idle workers of bounded pools, and files of the logs, may stay.
		if now.descriptors > s.before.descriptors+16 || now.goroutines > s.before.goroutines+16 {
			return fmt.Errorf("before the flood %d descriptors and %d goroutines, after it %d and %d",
				s.before.descriptors, s.before.goroutines, now.descriptors, now.goroutines)
		}
		return nil
	})
	s.v.p99(100 * time.Millisecond) // it still lives
	if log := s.b.Log(); strings.Contains(log, "panic") || strings.Contains(log, "BUG") {
		s.t.Errorf("the broker printed:\n%s", log)
	}
}

// lines counts the log's lines with a text.
func (s *scene) lines(text string) int {
	n := 0
	for line := range strings.SplitSeq(s.b.Log(), "\n") {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// reset closes a connection with an RST.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func mib(n int) float64 { return float64(n) / (1 << 20) }
