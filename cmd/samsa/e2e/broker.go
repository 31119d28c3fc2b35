// SPDX-License-Identifier: Apache-2.0

// Package e2e drives the built samsa binary as its users do: from outside, over
// its sockets, its files and its signals.
//
// It imports none of the broker's rooms: a test that passes here passed against
// the program that ships. Tests in this folder need nothing but Go; those that
// need other software live in the folders below it and say what to install.
//
// The environment chooses what is tested: SAMSA_BIN names a binary (by default
// one is built, with -race when the test has it), SAMSA_NETPOLL a backend,
// SAMSA_LOOPS a number of loops.
package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ReadyWithin bounds the wait for the ready line; start-up itself is asserted
// by the tests that measure it.
const ReadyWithin = 60 * time.Second

// Options says how a broker is started. The zero value is a broker on free
// ports with a directory of its own.
type Options struct {
	Dir   string            // log.dirs; empty: a new temporary directory
	Props map[string]string // keys laid over the test's own
	Env   []string          // added to the environment
	Addr  string            // host:port to listen on; empty: a free one
	File  string            // server.properties under the overrides; empty: none
	Drop  []string          // keys of the test's own that are not set
	Bin   string            // the binary; empty: Binary's
}

// Broker is one running samsa process.
type Broker struct {
	Addr  string // host:port of the client listener
	Admin string // host:port of metrics and health
	Dir   string // its log.dirs
	Ready string // its ready line
	Took  time.Duration

	t       testing.TB
	options Options
	cmd     *exec.Cmd
	log     *logBuffer
	exited  chan error
}

// Start starts a broker and returns when it has printed its ready line. The
// test's cleanup kills what is still running.
func Start(t testing.TB, o Options) *Broker {
	t.Helper()
	b, err := Launch(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Launch is Start for tests that expect a refusal: it returns the error, with
// what the process printed, instead of failing the test.
func Launch(t testing.TB, o Options) (*Broker, error) {
	t.Helper()
	started := time.Now()
	b, ready, err := begin(t, o)
	if err != nil {
		return nil, err
	}
	select {
	case line, ok := <-ready:
		if !ok {
			err := <-b.exited
			b.exited <- err
			return b, fmt.Errorf("samsa ended before it was ready: %v\n%s", err, b.log)
		}
		b.Ready, b.Took = line, time.Since(started)
		return b, nil
	case <-time.After(ReadyWithin):
		b.Kill()
		return b, fmt.Errorf("samsa was not ready within %v\n%s", ReadyWithin, b.log)
	}
}

// begin starts the process; ready gets its ready line, and is closed when it ends.
func begin(t testing.TB, o Options) (*Broker, <-chan string, error) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Addr == "" {
		o.Addr = FreeAddr(t)
	}
	b := &Broker{Addr: o.Addr, Admin: FreeAddr(t), Dir: o.Dir, t: t, options: o, log: &logBuffer{}, exited: make(chan error, 1)}
	if o.Bin == "" {
		o.Bin = Binary(t)
	}
	args := append([]string{"start"}, b.overrides()...)
	if o.File != "" {
		args = append(args, o.File)
	}
	b.cmd = exec.Command(o.Bin, args...)
	b.cmd.Env = append(os.Environ(), o.Env...)
	b.cmd.Stderr = b.log
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, nil, err
	}
	t.Cleanup(b.Kill)
	ready := make(chan string, 1)
	go b.readStdout(out, ready)
	return b, ready, nil
}

// KilledWithin starts a broker on the same directory, address and options and
// ends it with SIGKILL after d. True: it was not ready yet.
func (b *Broker) KilledWithin(d time.Duration) bool {
	b.t.Helper()
	o := b.options
	o.Dir, o.Addr = b.Dir, b.Addr
	next, ready, err := begin(b.t, o)
	if err != nil {
		b.t.Fatal(err)
	}
	defer next.Kill()
	select {
	case _, ok := <-ready:
		if !ok {
			b.t.Fatalf("samsa ended before it was ready:\n%s", next.log)
		}
		return false
	case <-time.After(d):
		return true
	}
}

// overrides are the command line of the process: quick defaults for tests,
// the environment's choices, then the test's own.
func (b *Broker) overrides() []string {
	props := map[string]string{
		"listeners":                                "PLAINTEXT://" + b.Addr,
		"log.dirs":                                 b.Dir,
		"samsa.admin.listener":                     b.Admin,
		"offsets.topic.num.partitions":             "5",
		"group.initial.rebalance.delay.ms":         "0",
		"log.segment.delete.delay.ms":              "1000",
		"offsets.topic.replication.factor":         "1",
		"transaction.state.log.min.isr":            "1",
		"transaction.state.log.num.partitions":     "1",
		"transaction.state.log.replication.factor": "1",
	}
	if backend := os.Getenv("SAMSA_NETPOLL"); backend != "" {
		props["samsa.netpoll"] = backend
	}
	if loops := os.Getenv("SAMSA_LOOPS"); loops != "" {
		props["samsa.event.loops"] = loops
	}
	if often, ok := b.options.Props["log.retention.check.interval.ms"]; ok {
		props["log.initial.task.delay.ms"] = often // it waits for half a minute otherwise
	}
	for key, value := range b.options.Props {
		props[key] = value
	}
	for _, key := range b.options.Drop {
		delete(props, key)
	}
	var args []string
	for key, value := range props {
		args = append(args, "--override="+key+"="+value)
	}
	sort.Strings(args)
	return args
}

func (b *Broker) readStdout(out io.Reader, ready chan<- string) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(b.log, lines.Text())
		if strings.HasPrefix(lines.Text(), "ready") {
			ready <- lines.Text()
		}
	}
	err := b.cmd.Wait()
	b.exited <- err
	close(ready)
}

// Kill ends the process with SIGKILL and waits for it.
func (b *Broker) Kill() {
	if b.cmd == nil || b.cmd.Process == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	b.exited <- <-b.exited
	if b.t.Failed() {
		b.t.Logf("broker %s printed:\n%s", b.Addr, b.log)
	}
	b.cmd = nil
}

// Stop sends SIGTERM and waits for a clean end.
func (b *Broker) Stop() {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatalf("SIGTERM: %v", err)
	}
	select {
	case err := <-b.exited:
		b.exited <- err
		if err != nil {
			b.t.Fatalf("samsa did not stop cleanly: %v\n%s", err, b.log)
		}
		b.cmd = nil
	case <-time.After(60 * time.Second):
		b.t.Fatalf("samsa did not stop within 60 s\n%s", b.log)
	}
}

// Again starts a broker on the same directory, address and options.
func (b *Broker) Again() *Broker {
	b.t.Helper()
	o := b.options
	o.Dir, o.Addr = b.Dir, b.Addr
	return Start(b.t, o)
}

// PID is the process id.
func (b *Broker) PID() int { return b.cmd.Process.Pid }

// Exited reports whether the process has ended.
func (b *Broker) Exited() bool { return len(b.exited) > 0 }

// Log is everything the process has printed so far.
func (b *Broker) Log() string { return b.log.String() }

// Stacks is what the broker's goroutines do now, for a failure's message.
func (b *Broker) Stacks() string {
	resp, err := http.Get("http://" + b.Admin + "/debug/pprof/goroutine?debug=2")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

// Runtime reads one of the process's runtime/metrics, after a garbage collection.
// Unlike Metric, which costs the broker some thousand objects, it is cheap enough
// to count them by.
func (b *Broker) Runtime(name string) (float64, error) {
	resp, err := http.Get("http://" + b.Admin + "/debug/runtime?gc=1&name=" + url.QueryEscape(name))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body) // to its end: the connection serves the next reading too
	if err != nil {
		return 0, err
	}
	value, ok := strings.CutPrefix(strings.TrimSpace(string(page)), name+" ")
	if !ok {
		return 0, fmt.Errorf("%s/debug/runtime answered %s: %s", b.Admin, resp.Status, page)
	}
	return strconv.ParseFloat(value, 64)
}

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary is the samsa under test: SAMSA_BIN, or one built once for this process.
func Binary(t testing.TB) string {
	t.Helper()
	build.once.Do(func() {
		if build.path = os.Getenv("SAMSA_BIN"); build.path == "" {
			build.path, build.err = compile("giouring")
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// Main runs a package's tests and removes the binary that Binary built; call it
// from TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	if os.Getenv("SAMSA_BIN") == "" && build.path != "" {
		_ = os.RemoveAll(filepath.Dir(build.path))
	}
	return code
}

// Sabotaged builds a samsa that can be told, by SAMSA_SABOTAGE in its
// environment, to break one of its promises; the test's cleanup removes it.
func Sabotaged(t testing.TB) string {
	t.Helper()
	path, err := compile("giouring,sabotage")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(path)) })
	return path
}

func compile(tags string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "samsa-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "samsa")
	args := []string{"build", "-tags", tags, "-ldflags=-checklinkname=0", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/samsa")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/samsa: %w\n%s", err, out)
	}
	return path, nil
}

// Root is the folder of go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			err = errors.New("e2e: no go.mod above the working directory")
		}
		dir = parent
	}
	return "", err
}

// FreeAddr is a loopback address that nobody listens on now. Its port lies
// below those that the system gives to outgoing connections: a client that
// tries a dead broker again and again must not be given the broker's port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port from 10000 to 30000")
	return ""
}

// logBuffer keeps what a process printed; safe for two writers and a reader.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
