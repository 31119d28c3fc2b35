// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/samsa-broker/samsa/controller/meta"
)

// offsetWorld is a broker with the topic a of two partitions.
func offsetWorld(t *testing.T) *world {
	w := newWorld(t)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.stop() })
	if r := w.edge.CreateTopics([]meta.NewTopic{{Name: "a", Partitions: 2, ReplicationFactor: 1}}, false)[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	return w
}

// stored gives a group's offsets of the two partitions.
func (w *world) stored(group string) string {
	w.t.Helper()
	of := []meta.ConsumerOffset{{Partition: meta.Partition{Topic: "a"}}, {Partition: meta.Partition{Topic: "a", Index: 1}}}
	if err := NewConsumerOffsets(w.edge).Load(group, of); err != nil {
		w.t.Fatalf("group %q: %v", group, err)
	}
	out := ""
	for _, o := range of {
		switch {
		case errors.Is(o.Err, meta.ErrNoOffset):
			out += "none "
		case o.Err != nil:
			out += o.Err.Error() + " "
		default:
			out += fmt.Sprint(o.Offset, " ")
		}
	}
	return out
}

func (w *world) store(group string, offsets ...int64) error {
	var of []meta.ConsumerOffset
	for i, o := range offsets {
		of = append(of, meta.ConsumerOffset{Partition: meta.Partition{Topic: "a", Index: int32(i)}, Offset: o})
	}
	return NewConsumerOffsets(w.edge).Store(group, of)
}

// What a group of version 0 commits is at Kafka's paths, outlives the run and,
// as in Kafka, the topic; a group never seen has nothing.
func TestConsumerOffsets(t *testing.T) {
	w := offsetWorld(t)
	same := func(group, want string) {
		t.Helper()
		if got := w.stored(group); got != want {
			t.Errorf("group %q has %s, want %s", group, got, want)
		}
	}
	same("g", "none none ")
	before := w.edge.StoreVersion()
	for _, group := range []string{"g", "g/h", "Gruppe \u00e4\u4e2d", "g/offsets/a/1/x"} {
		if err := w.store(group, 5); err != nil {
			t.Fatalf("group %q: %v", group, err)
		}
		same(group, "5 none ")
	}
	same("g", "5 none ") // its second partition's node is there, for the group below it
	if err := w.store("g", math.MinInt64, math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	if got := w.edge.StoreVersion(); got != before+5 {
		t.Errorf("five writes moved the version from %d to %d", before, got)
	}
	want := "-9223372036854775808 9223372036854775807 "
	same("g", want)
	same("g/offsets/a/1/x", "5 none ")
	err := w.edge.store.view(func(tx *txn) error {
		for _, path := range []string{"/consumers/g", "/consumers/g/offsets", "/consumers/g/offsets/a"} {
			if n, ok, err := tx.get(path); !ok || n.flags&flagNull == 0 || err != nil {
				t.Errorf("%s: %+v, %v", path, n, err)
			}
		}
		n, _, err := tx.get("/consumers/g/offsets/a/1")
		if string(n.data) != "9223372036854775807" {
			t.Errorf("the node holds %q", n.data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := w.edge.DeleteTopics([]meta.TopicRef{{Name: "a"}})[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	w.stop()
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	same("g", want)
	same("h", "none none ")
}

// Names that ZooKeeper refuses, and such as would fill the store with paths,
// are refused, whole; the store is none the worse.
func TestConsumerOffsetsOfOddGroups(t *testing.T) {
	w := offsetWorld(t)
	before := w.edge.StoreVersion()
	for _, group := range []string{
		"", "/", "/g", "g/", "g//h", ".", "..", "../../brokers/ids", "g/..", "a\x00b", "a\nb", "a\u007fb", "a\u0085b", "\ue000", "\uffff", "\U0001f600", "a\xffb",
		strings.Repeat("g", 32767), strings.Repeat("g/", 40) + "g", strings.Repeat("g", 9000) + strings.Repeat("/g", 20),
	} {
		if err := w.store(group, 1, 2); !errors.Is(err, meta.ErrGroupPath) {
			t.Errorf("group %.20q: %v", group, err)
		}
		if got := w.stored(group); !strings.HasPrefix(got, meta.ErrGroupPath.Error()) {
			t.Errorf("group %.20q has %.90s", group, got)
		}
	}
	if got := w.edge.StoreVersion(); got != before {
		t.Errorf("the refused were written: version %d, then %d", before, got)
	}
	for _, group := range []string{"...", ".g", "g..", strings.Repeat("g", 4000), strings.Repeat("g", 32_700), strings.Repeat("g/", 20) + "g"} {
		if err := w.store(group, 1, 2); err != nil || w.stored(group) != "1 2 " {
			t.Errorf("group %.20q: %v, %s", group, err, w.stored(group))
		}
	}
}

// A full disk refuses a commit and nothing more; what breaks the store refuses
// every later one, and what is stored can still be read.
func TestConsumerOffsetsOnABadDisk(t *testing.T) {
	w := offsetWorld(t)
	if err := w.store("g", 1); err != nil {
		t.Fatal(err)
	}
	fail := func(err error) func(string) error { return func(string) error { return err } }
	w.edge.store.hook = fail(syscall.ENOSPC)
	if err := w.store("g", 2); !errors.Is(err, meta.ErrStorage) {
		t.Errorf("full: %v", err)
	}
	w.edge.store.hook = nil
	if err := w.store("g", 3); err != nil || w.stored("g") != "3 none " {
		t.Errorf("after a full disk: %v, %s", err, w.stored("g"))
	}
	w.edge.store.hook = fail(syscall.EIO)
	if err := w.store("g", 4); !errors.Is(err, meta.ErrStorage) {
		t.Errorf("broken: %v", err)
	}
	w.edge.store.hook = nil
	if err := w.store("g", 5); !errors.Is(err, meta.ErrStopped) || w.stored("g") != "3 none " {
		t.Errorf("after a broken disk: %v, %s", err, w.stored("g"))
	}
}

// Groups commit side by side while topics come: none is lost, and the version
// that the journals refer to never goes back.
func TestConsumerOffsetsSideBySide(t *testing.T) {
	w := offsetWorld(t)
	var last atomic.Int64
	errs := sideBySide(8, func(i int) error {
		for n := range int64(10) {
			if err := w.store(fmt.Sprint("g", i), n, -n); err != nil {
				return err
			}
			seen := w.edge.StoreVersion()
			if before := last.Load(); before > seen && w.edge.StoreVersion() < before {
				return fmt.Errorf("the version went from %d back to %d", before, seen)
			}
			last.Store(seen)
		}
		return w.edge.CreateTopics([]meta.NewTopic{{Name: fmt.Sprint("t", i), Partitions: 1, ReplicationFactor: 1}}, false)[0].Err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if got := w.stored(fmt.Sprint("g", i)); got != "9 -9 " {
			t.Errorf("group %d has %s", i, got)
		}
	}
}
