// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// hide puts a file in the place of a directory, which is then no log directory;
// back ends that.
func hide(t *testing.T, path string) (back func()) {
	t.Helper()
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
}

// answersOf is what one partition answers to Produce, Fetch and ListOffsets.
func answersOf(t *testing.T, b *Broker, topic string, partition int32) (codes [3]int16) {
	t.Helper()
	raw := Dial(t, b.Addr)
	produced, err := raw.Call(ProduceRequest(topic, partition, Batch(-1, -1, -1, "x")))
	if err != nil {
		t.Fatal(err)
	}
	codes[0] = produced.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
	fetch := FetchRequest(topic, partition, 0, 1<<20)
	fetch.MaxWaitMillis = 100
	fetched, err := raw.Call(fetch)
	if err != nil {
		t.Fatal(err)
	}
	codes[1] = fetched.(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode
	list := kmsg.NewPtrListOffsetsRequest()
	list.Version, list.ReplicaID = 4, -1
	one := kmsg.NewListOffsetsRequestTopicPartition()
	one.Partition, one.Timestamp, one.CurrentLeaderEpoch = partition, -1, -1
	list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{one}}}
	listed, err := raw.Call(list)
	if err != nil {
		t.Fatal(err)
	}
	codes[2] = listed.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode
	return codes
}

// describedDirs is the error code of each log directory.
func describedDirs(t *testing.T, b *Broker) map[string]int16 {
	t.Helper()
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = 4
	resp, err := Dial(t, b.Addr).Call(req)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]int16{}
	for _, d := range resp.(*kmsg.DescribeLogDirsResponse).Dirs {
		codes[d.Dir] = d.ErrorCode
	}
	return codes
}

// A log directory that cannot be opened takes its partitions offline, and no
// others: the broker starts, says so, and serves them all again when the
// directory is back. Without the one that holds samsa.meta, or without any, it
// refuses to start and says what to do.
func TestLostLogDirectory(t *testing.T) {
	root := t.TempDir()
	first, second := filepath.Join(root, "a"), filepath.Join(root, "b")
	const storage = 56
	b := Start(t, Options{Dir: root, Props: map[string]string{"log.dirs": first + "," + second, "samsa.journal.bytes": "1048576"}})
	CreateTopic(t, b.Addr, "t", 4, nil)
	for p := range int32(4) {
		Produce(t, b.Addr, "t", p, []string{fmt.Sprint("record of ", p)})
	}
	CreateTopic(t, b.Addr, "doomed", 4, nil)
	lost := map[int32]bool{}
	for p := range int32(4) {
		_, err := os.Stat(filepath.Join(second, fmt.Sprint("t-", p)))
		lost[p] = err == nil
	}
	b.Stop()
	back := hide(t, second)
	for _, how := range []string{"clean stop", "kill -9"} {
		b = b.Again()
		if !strings.Contains(b.Ready, " offline="+second) || strings.Count(b.Log(), "log directory is offline") != 1 {
			t.Errorf("after %s: the directory is not named, or not once: %s\n%s", how, b.Ready, b.Log())
		}
		for p := range int32(4) {
			want := [3]int16{}
			if lost[p] {
				want = [3]int16{storage, storage, storage}
			}
			if got := answersOf(t, b, "t", p); got != want {
				t.Errorf("after %s: t-%d answers %v, want %v", how, p, got, want)
			}
		}
		if got := describedDirs(t, b); got[first] != 0 || got[second] != storage {
			t.Errorf("after %s: log directories answer %v", how, got)
		}
		b.Kill()
	}
	b = b.Again()
	CreateTopic(t, b.Addr, "new", 4, nil)
	for p := range int32(4) {
		Produce(t, b.Addr, "new", p, []string{"x"})
	}
	admin := kadm.NewClient(Client(t, b.Addr))
	if got, err := admin.DeleteTopics(t.Context(), "doomed"); err != nil || !errors.Is(got["doomed"].Err, kerr.KafkaStorageError) {
		t.Errorf("deleting what is partly out of reach: %v %+v", err, got)
	}
	b.Stop()
	back()
	b = b.Again()
	if got, err := kadm.NewClient(Client(t, b.Addr)).ListTopics(t.Context()); err != nil || got.Has("doomed") || !got.Has("t") || !got.Has("new") {
		t.Errorf("with the directory back: topics %v, %v", got.Names(), err)
	}
	for p := range int32(4) {
		if got := answersOf(t, b, "t", p); got != [3]int16{} {
			t.Errorf("with the directory back: t-%d answers %v", p, got)
		}
		if got := ReadAll(t, b.Addr, "t")[p]; len(got) == 0 || got[0].Value != fmt.Sprint("record of ", p) {
			t.Errorf("with the directory back: t-%d holds %v", p, got)
		}
	}
	b.Stop()
	refused := func(want ...string) {
		t.Helper()
		o := b.options
		o.Dir, o.Addr = root, b.Addr
		_, err := Launch(t, o)
		if err == nil {
			t.Fatal("not refused")
		}
		for _, text := range want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("the refusal lacks %q: %v", text, err)
			}
		}
	}
	back = hide(t, first)
	refused("no usable directory holds samsa.meta", "may stand in "+first, "take it out of log.dirs")
	backToo := hide(t, second)
	refused("no directory can be used", first, second)
	backToo()
	back()
	b = b.Again()
	if got := answersOf(t, b, "t", 0); got != [3]int16{} {
		t.Errorf("after the refusals: t-0 answers %v", got)
	}
	b.Stop()
}
