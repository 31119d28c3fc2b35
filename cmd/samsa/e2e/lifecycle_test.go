// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func health(addr string) int {
	resp, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// /healthz answers 503 while the broker starts, which takes a moment where many
// partitions have to be recovered, and 200 once it is ready.
func TestHealth(t *testing.T) {
	admin := FreeAddr(t)
	b := Start(t, Options{Props: map[string]string{"samsa.admin.listener": admin}})
	CreateTopic(t, b.Addr, "many", 1000, nil)
	Produce(t, b.Addr, "many", 0, []string{"one"})
	b.Kill()
	started := make(chan *Broker, 1)
	go func() {
		again, err := Launch(t, Options{Dir: b.Dir, Addr: b.Addr, Props: b.options.Props})
		if err != nil {
			t.Error(err)
		}
		started <- again
	}()
	Eventually(t, 60*time.Second, func() error {
		if code := health(admin); code != http.StatusServiceUnavailable {
			return fmt.Errorf("before it is ready: %d", code)
		}
		return nil
	})
	again := <-started
	Eventually(t, 5*time.Second, func() error {
		if code := health(admin); code != http.StatusOK {
			return fmt.Errorf("when it is ready: %d", code)
		}
		return nil
	})
	again.Stop()
	if code := health(admin); code != 0 {
		t.Errorf("after the stop: %d", code)
	}
}

// SIGTERM ends a broker cleanly and soon while producers run, consumers wait
// for records that do not come, and groups commit.
func TestStopUnderLoad(t *testing.T) {
	b := Start(t, Options{})
	load := StartLoad(t, b.Addr, LoadOptions{Producers: 3, Acks1: true, Group: true, Value: 100})
	CreateTopic(t, b.Addr, "silent", 1, nil)
	for range 10 {
		poll := FetchRequest("silent", 0, 0, 1<<20)
		poll.MaxWaitMillis = 600_000
		if err := Dial(t, b.Addr).Send(poll); err != nil {
			t.Fatal(err)
		}
	}
	Eventually(t, 30*time.Second, func() error {
		if n := load.Acked.Load(); n < 1000 {
			return fmt.Errorf("%d acknowledged", n)
		}
		return nil
	})
	began := time.Now()
	b.Stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}
	b = b.Again()
	if !strings.Contains(b.Log(), "clean=true") {
		t.Errorf("the stop was not clean:\n%s", b.Log())
	}
	load.Stop()
	if err := load.Check(true); err != nil {
		t.Fatal(err)
	}
}

// A second signal ends the process at once, whatever the first one waits for:
// here, a peer that asked for megabytes and does not read them.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	b := Start(t, Options{})
	stuck := stuckReader(t, b)
	defer stuck.conn.Close()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(b.Log(), "a second signal stops at once") {
			return fmt.Errorf("the first signal is not told:\n%s", b.Log())
		}
		return nil
	})
	began := time.Now()
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-b.exited:
		b.exited <- err
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the second signal took %v", took)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("still there 20 s after the second signal:\n%s", b.Log())
	}
}

// Directories that are not this broker's, or cannot be written, are refused by
// name; nothing is changed in them.
func TestForeignDirectoriesAreRefused(t *testing.T) {
	refused := func(t *testing.T, o Options, want ...string) {
		t.Helper()
		b, err := Launch(t, o)
		if err == nil {
			t.Fatal("it started")
		}
		for _, w := range want {
			if !strings.Contains(b.Log(), w) {
				t.Errorf("the refusal does not say %q:\n%s", w, b.Log())
			}
		}
	}
	metaFile := func(t *testing.T, id, cluster string) string {
		dir := t.TempDir()
		text := "version=0\nbroker.id=" + id + "\ncluster.id=" + cluster + "\n"
		if err := os.WriteFile(filepath.Join(dir, "meta.properties"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Run("another broker's id", func(t *testing.T) {
		dir := metaFile(t, "3", "AAAAAAAAAAAAAAAAAAAAAA")
		refused(t, Options{Dir: dir, Props: map[string]string{"broker.id": "4"}}, dir, "3", "4")
		Start(t, Options{Dir: dir}) // without an id of its own it takes the directory's
	})
	t.Run("two clusters", func(t *testing.T) {
		dirs := metaFile(t, "1", "AAAAAAAAAAAAAAAAAAAAAA") + "," + metaFile(t, "1", "BBBBBBBBBBBBBBBBBBBBBB")
		refused(t, Options{Dir: dirs}, "AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBB")
	})
	t.Run("read-only", func(t *testing.T) {
		dir := smallDisk(t, 16<<20)
		if out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		refused(t, Options{Dir: dir}, dir, "read-only")
	})
	t.Run("not a directory", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		refused(t, Options{Dir: file}, "log.dirs", file)
	})
}

// One of two directories is gone: the start names a partition that was there
// instead of serving its topic empty. Put back, everything is there.
func TestMissingDirectoryIsRefused(t *testing.T) {
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	b := Start(t, Options{Dir: one + "," + two})
	CreateTopic(t, b.Addr, "spread", 4, nil)
	for p := range int32(4) {
		Produce(t, b.Addr, "spread", p, []string{fmt.Sprint("kept ", p)})
	}
	b.Stop()
	if err := os.Rename(two, two+".away"); err != nil {
		t.Fatal(err)
	}
	again, err := Launch(t, Options{Dir: one + "," + two})
	if err == nil {
		t.Fatal("it started without a directory that had partitions")
	}
	if !strings.Contains(again.Log(), "spread-") {
		t.Errorf("the refusal names no partition:\n%s", again.Log())
	}
	if err := os.RemoveAll(two); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(two+".away", two); err != nil {
		t.Fatal(err)
	}
	b = b.Again()
	for p, records := range ReadAll(t, b.Addr, "spread") {
		if len(records) != 1 || records[0].Value != fmt.Sprint("kept ", p) {
			t.Errorf("partition %d: %v", p, records)
		}
	}
}

// Topics that were found on disk without their settings show samsa.adopted and
// are not deleted from; `samsa topics alter --adopted` accepts those, and only
// those, and retention begins.
func TestAdoptedTopicsAreAccepted(t *testing.T) {
	props := map[string]string{"log.retention.check.interval.ms": "200", "log.segment.bytes": "1000", "log.retention.ms": "60000"}
	b := Start(t, Options{Props: map[string]string{"log.segment.bytes": "1000"}})
	CreateTopic(t, b.Addr, "found", 1, nil)
	s := &shop{t: t, Broker: b}
	if err := s.send("found", every(20, 300, time.Hour)...); err != nil {
		t.Fatal(err)
	}
	b.Stop()
	ours, _ := filepath.Glob(filepath.Join(b.Dir, "samsa.*")) // what no Kafka writes
	for _, name := range ours {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	b = Start(t, Options{Dir: b.Dir, Props: props})
	s.Broker = b
	CreateTopic(t, b.Addr, "own", 1, map[string]string{"segment.ms": "1000000"})
	CreateTopic(t, b.Addr, "beside", 1, nil)
	if err := s.send("beside", every(20, 300, time.Hour)...); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 30*time.Second, func() error { // retention has run
		if start := s.start("beside"); start < 15 {
			return fmt.Errorf("beside starts at %d", start)
		}
		return nil
	})
	if start := s.start("found"); start != 0 {
		t.Errorf("an adopted topic lost its records below %d", start)
	}
	topics := func(args ...string) string {
		out, errs, err := samsa(t, append([]string{"topics", "--bootstrap-server", b.Addr}, args...)...)
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, errs)
		}
		return out
	}
	if out := topics("describe"); strings.Count(out, "samsa.adopted=true") != 1 || !strings.Contains(topics("describe", "--topic", "found"), "samsa.adopted=true") {
		t.Errorf("describe:\n%s", out)
	}
	if out := topics("alter", "--adopted", "--json"); strings.Join(strings.Fields(out), "") != `["found"]` {
		t.Errorf("alter --adopted: %s", out)
	}
	if out := topics("describe"); strings.Contains(out, "adopted") || !strings.Contains(out, "segment.ms=1000000") {
		t.Errorf("afterwards:\n%s", out)
	}
	Eventually(t, 30*time.Second, func() error {
		if start := s.start("found"); start < 15 {
			return fmt.Errorf("found starts at %d", start)
		}
		return nil
	})
}
