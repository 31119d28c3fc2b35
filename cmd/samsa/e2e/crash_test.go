// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// kill -9 at a random moment under load: idempotent producers at acks=all, a
// committing group, a topic deleted and recreated. After each restart on the
// same address the clients go on by themselves; at the end every acknowledged
// record is there once and in order.
func TestKillUnderLoad(t *testing.T) {
	for _, durability := range []string{"journal", "kafka"} {
		t.Run(durability, func(t *testing.T) { killUnderLoad(t, durability) })
	}
}

func killUnderLoad(t *testing.T, durability string) {
	b := Start(t, Options{Props: map[string]string{"samsa.durability": durability}})
	load := StartLoad(t, b.Addr, LoadOptions{Producers: 3, Group: true, Churn: true, Value: 200})
	for round := range rounds(t, "SAMSA_KILLS", 3) {
		before := load.Acked.Load()
		Eventually(t, 30*time.Second, func() error {
			if load.Acked.Load() < before+200 {
				return fmt.Errorf("round %d: %d acknowledged since the restart, %v\n%s", round, load.Acked.Load()-before, load.Err(), b.Stacks())
			}
			return nil
		})
		<-time.After(time.Duration(rand.IntN(1500)) * time.Millisecond)
		b.Kill()
		b = b.Again()
		Eventually(t, 10*time.Second, func() error { // its log comes on another pipe
			if !strings.Contains(recovery(b), " unflushed=") {
				return errors.New(recovery(b))
			}
			return nil
		})
		t.Logf("round %d: ready after %v: %s", round, b.Took, recovery(b))
		readsLittle(t, recovery(b))
		recoversSoon(t, recovery(b))
	}
	load.Stop()
	if err := load.Check(true); err != nil {
		t.Fatal(err)
	}
	t.Log(load.Counts())
}

// recovery is the line in which the broker says what it read to recover.
func recovery(b *Broker) string {
	for line := range strings.SplitSeq(b.Log(), "\n") {
		if strings.Contains(line, "recovered") {
			return line
		}
	}
	return "no recovery line"
}

// readsLittle holds a recovery to its bound: in all 1.2 times what was not
// flushed, and 64 KiB a partition. What was not flushed is what stands in the
// journal behind the last checkpoint or, without a journal, in the segments above
// the recovery point.
func readsLittle(t *testing.T, line string) {
	t.Helper()
	n := func(key string) int64 {
		_, rest, ok := strings.Cut(line, " "+key+"=")
		value, _, _ := strings.Cut(rest, " ")
		count, err := strconv.ParseInt(value, 10, 64)
		if !ok || err != nil {
			t.Fatalf("no %s in %q", key, line)
		}
		return count
	}
	if n("bytes") != n("segments")+n("journal")+n("searched") {
		t.Errorf("the parts do not make the whole: %s", line)
	}
	if limit := n("unflushed")*12/10 + 64<<10*n("logs"); n("bytes") > limit {
		t.Errorf("read more than 1.2 times what was not flushed and 64 KiB a partition, %d: %s", limit, line)
	}
}

// recoversSoon holds a recovery to 2 s, by its own word.
func recoversSoon(t *testing.T, line string) {
	t.Helper()
	_, rest, _ := strings.Cut(line, " took=")
	text, _, _ := strings.Cut(rest, " ")
	took, err := time.ParseDuration(text)
	if err != nil || took > 2*time.Second {
		t.Errorf("recovery took %v, %v: %s", took, err, line)
	}
}

// kill -9 at a random moment of the very first start: the next one takes what
// it left, whatever that is.
func TestKilledFirstStart(t *testing.T) {
	const within = 60 * time.Millisecond // a start takes 30 ms where nothing else runs
	addr, early, done, n := FreeAddr(t), 0, 0, max(40, rounds(t, "SAMSA_KILLS", 40))
	for ; done < n || early == 0 && done < 10*n; done++ {
		b := &Broker{t: t, Dir: filepath.Join(t.TempDir(), "data"), Addr: addr}
		b.options.Props = map[string]string{"samsa.journal.bytes": "1048576"}
		if b.KilledWithin(rand.N(within)) {
			early++
		}
		b = b.Again()
		CreateTopic(t, b.Addr, "first", 1, nil)
		b.Kill()
		_ = os.RemoveAll(b.Dir)
	}
	t.Logf("%d of %d were killed before they were ready", early, done)
	if early == 0 {
		t.Error("none was killed before it was ready: the test proves nothing")
	}
}

// kill -9 while a recovery runs, again and again: the next recovery goes on
// from whatever the last one left, and nothing acknowledged is lost.
func TestKillWithinRecovery(t *testing.T) {
	b := Start(t, Options{})
	load := StartLoad(t, b.Addr, LoadOptions{Producers: 3, Group: true, Churn: true, Value: 1000})
	for round := range rounds(t, "SAMSA_KILLS", 3) {
		before := load.Acked.Load()
		Eventually(t, 60*time.Second, func() error {
			if load.Acked.Load() < before+5000 {
				return fmt.Errorf("round %d: %d acknowledged since the restart, %v\n%s", round, load.Acked.Load()-before, load.Err(), b.Log())
			}
			return nil
		})
		b.Kill()
		took := b.Took
		within := 0
		for i := 0; i < 4 || within == 0 && i < 20; i++ {
			began := time.Now()
			if b.KilledWithin(time.Duration(rand.Int64N(int64(took)))) {
				within++
			} else {
				took = min(took, time.Since(began)) // it was faster than the last one
			}
		}
		b = b.Again()
		t.Logf("round %d: %d of 4 killed before they were ready; then ready after %v: %s", round, within, b.Took, recovery(b))
		if within == 0 {
			t.Errorf("round %d: no start was killed before it was ready", round)
		}
	}
	load.Stop()
	if err := load.Check(true); err != nil {
		t.Fatal(err)
	}
	t.Log(load.Counts())
}

// After a clean stop everything is there and nothing is recovered.
func TestCleanRestart(t *testing.T) {
	b := Start(t, Options{})
	load := StartLoad(t, b.Addr, LoadOptions{Producers: 2, Acks1: true, Group: true, Value: 100})
	Eventually(t, 30*time.Second, func() error {
		if load.Acked.Load() < 2000 {
			return fmt.Errorf("%d acknowledged", load.Acked.Load())
		}
		return nil
	})
	load.Stop()
	b.Stop()
	b = b.Again()
	if err := load.Check(true); err != nil {
		t.Fatal(err)
	}
	if line := recovery(b); strings.Contains(line, "bytes=") && !strings.Contains(line, "bytes=0") {
		t.Errorf("a recovery after a clean stop: %s", line)
	}
}

// A second process on the same directory is refused with the first one's pid.
func TestSecondProcessIsRefused(t *testing.T) {
	b := Start(t, Options{})
	second, err := Launch(t, Options{Dir: b.Dir})
	if err == nil {
		t.Fatal("a second broker started on the same directory")
	}
	if !strings.Contains(second.Log(), strconv.Itoa(b.PID())) {
		t.Errorf("the refusal does not name pid %d:\n%s", b.PID(), second.Log())
	}
}

// A full disk: produce is refused or waits, fetch goes on, freed space is used
// again without a restart, nothing acknowledged is lost.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, 48<<20)
	b := Start(t, Options{Dir: dir, Props: map[string]string{"samsa.journal.bytes": "1048576"}})
	CreateTopic(t, b.Addr, "filler", 1, nil)
	CreateTopic(t, b.Addr, "keeper", 1, nil)
	kept := Produce(t, b.Addr, "keeper", 0, []string{"before"})
	fillUp(t, b)
	if got := ReadAll(t, b.Addr, "keeper")[0]; len(got) < len(kept) || got[0].Value != "before" {
		t.Fatalf("with a full disk keeper reads %v", got)
	}
	deleteTopic(t, b, "filler")
	Eventually(t, 60*time.Second, func() error { return tryProduce(t, b, "keeper", "after") })
	b.Stop()
	b = b.Again()
	got := ReadAll(t, b.Addr, "keeper")[0]
	if got[0].Value != "before" || got[len(got)-1].Value != "after" {
		t.Fatalf("after the restart keeper reads %v", got)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
}

// An old copy of the metadata store, put back, does not know the topics made
// since. It is refused by name instead of deleting them; the right one goes on.
func TestOldStorePutBack(t *testing.T) {
	for _, how := range []string{"clean stop", "kill -9"} {
		t.Run(how, func(t *testing.T) {
			b := Start(t, Options{})
			CreateTopic(t, b.Addr, "early", 1, nil)
			b.Stop()
			store := filepath.Join(b.Dir, "samsa.meta")
			old := readFile(t, store)
			b = b.Again()
			CreateTopic(t, b.Addr, "late", 1, nil)
			kept := Produce(t, b.Addr, "late", 0, []string{"one", "two"})
			if how == "kill -9" {
				b.Kill()
			} else {
				b.Stop()
			}
			newest := readFile(t, store)
			writeFile(t, store, old)
			for range 2 {
				second, err := Launch(t, Options{Dir: b.Dir})
				if err == nil {
					t.Fatal("a broker started with an old store")
				}
				if !strings.Contains(second.Log(), store) || !strings.Contains(second.Log(), "older copy") {
					t.Errorf("the refusal does not name the file:\n%s", second.Log())
				}
			}
			writeFile(t, store, newest)
			b = b.Again()
			if got := ReadAll(t, b.Addr, "late")[0]; len(got) != len(kept) || got[1].Value != "two" {
				t.Fatalf("late holds %v", got)
			}
		})
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
