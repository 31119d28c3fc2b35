// SPDX-License-Identifier: Apache-2.0

// Package java holds the built samsa binary against Java: kafka-clients from
// 0.11 to 4.x, Kafka's own tools, Kafka Connect and Kafka Streams.
//
// A Java start costs seconds, so a test talks to one process per client: the
// programs in programs/ read commands, one a line, and answer each. They are
// compiled here, once per client and change, into .cache/java.
package java

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e/conformance"
)

// answerWithin bounds one command: every wait in the programs is shorter.
const answerWithin = 2 * time.Minute

// JVM is a running program that obeys commands.
type JVM struct {
	peer  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
	errs  *bytes.Buffer
}

// pool keeps the processes for the tests that follow.
var pool struct {
	mu   sync.Mutex
	jvms map[string]*JVM
}

// Get gives the process that runs a program with a peer's jars.
func Get(t testing.TB, peer, program string, sources ...string) *JVM {
	t.Helper()
	pool.mu.Lock()
	defer pool.mu.Unlock()
	key := peer + " " + program
	if j := pool.jvms[key]; j != nil && j.lines != nil {
		return j
	}
	j, err := launch(t, peer, program, sources)
	if err != nil {
		t.Fatal(err)
	}
	if pool.jvms == nil {
		pool.jvms = map[string]*JVM{}
	}
	pool.jvms[key] = j
	return j
}

// CloseAll ends the processes; call it from TestMain.
func CloseAll() {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	for _, j := range pool.jvms {
		j.kill()
	}
}

func launch(t testing.TB, peer, program string, sources []string) (*JVM, error) {
	t.Helper()
	classes := Compile(t, peer, append([]string{program}, sources...)...)
	j := &JVM{peer: peer, errs: &bytes.Buffer{}, lines: make(chan string, 64)}
	j.cmd = exec.Command(conformance.Program(t, "java"), append(Flags(), "-cp", classes+":"+conformance.ClassPath(t, peer), program)...)
	out, err := j.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if j.in, err = j.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	j.cmd.Stderr = &tailWriter{buf: j.errs}
	if err := j.cmd.Start(); err != nil {
		return nil, err
	}
	go func(lines chan<- string) {
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 64<<20)
		for scan.Scan() {
			lines <- scan.Text()
		}
		close(lines)
	}(j.lines)
	return j, nil
}

// Flags are the JVM's: small, and quick to start.
func Flags() []string {
	return []string{"-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j.configuration=quiet.properties"}
}

// Compile compiles programs against a peer's jars and returns the folder of the
// classes. It lasts until a source changes.
func Compile(t testing.TB, peer string, programs ...string) string {
	t.Helper()
	root, err := e2e.Root()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	var files []string
	for _, program := range programs {
		file := filepath.Join(root, "cmd", "samsa", "e2e", "conformance", "java", "programs", program+".java")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(text)
		files = append(files, file)
	}
	dir := filepath.Join(root, ".cache", "java", fmt.Sprintf("%s-%x", peer, sum.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	half, err := os.MkdirTemp(filepath.Dir(dir), "half-")
	if err != nil {
		t.Fatal(err)
	}
	javac := conformance.Program(t, "javac")
	conformance.Run(t, nil, javac, slices.Concat([]string{"-nowarn", "-Xlint:none", "-proc:none", "-d", half, "-cp", conformance.ClassPath(t, peer)}, files)...)
	if err := os.WriteFile(filepath.Join(half, "quiet.properties"), []byte("log4j.rootLogger=OFF\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(half, dir); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	return dir
}

// Do obeys one command and returns its answer's lines.
func (j *JVM) Do(t testing.TB, words ...any) []string {
	t.Helper()
	lines, err := j.Try(t, words...)
	if err != nil {
		t.Fatalf("%s: %v: %v\n%s", j.peer, words, err, j.errs)
	}
	return lines
}

// Try is Do for commands that may fail.
func (j *JVM) Try(t testing.TB, words ...any) ([]string, error) {
	t.Helper()
	lines, last, err := j.ask(words...)
	if err != nil {
		t.Fatalf("%s: %v: %v\n%s", j.peer, words, err, j.errs)
	}
	if failure, failed := strings.CutPrefix(last, "!"); failed {
		return lines, errors.New(failure)
	}
	return lines, nil
}

// ask sends a command and reads its answer and the line that ends it.
func (j *JVM) ask(words ...any) (lines []string, last string, err error) {
	text := make([]string, len(words))
	for i, w := range words {
		text[i] = fmt.Sprint(w)
	}
	if _, err := io.WriteString(j.in, strings.Join(text, "\t")+"\n"); err != nil {
		return nil, "", err
	}
	for deadline := time.After(answerWithin); ; {
		select {
		case line, ok := <-j.lines:
			if !ok {
				j.lines = nil
				return nil, "", errors.New("the process ended")
			}
			said, more := strings.CutPrefix(line, " ")
			if !more {
				return lines, line, nil
			}
			lines = append(lines, said)
		case <-deadline:
			j.kill()
			return nil, "", fmt.Errorf("no answer within %v", answerWithin)
		}
	}
}

func (j *JVM) kill() {
	_ = j.cmd.Process.Kill()
	_ = j.cmd.Wait()
	j.lines = nil
}

// tailWriter keeps the end of what a process says on standard error.
type tailWriter struct {
	mu  sync.Mutex
	buf *bytes.Buffer
}

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buf.Len() > 64<<10 {
		w.buf.Next(w.buf.Len() - 16<<10)
	}
	return w.buf.Write(p)
}
