// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/samsa-broker/samsa/controller/meta"
)

// world is one broker's directories over many runs, and what its clients were
// told: what was answered must hold for ever.
type world struct {
	t    *testing.T
	dir  string
	disk *disk
	edge *Edge

	has    map[string]int    // topics that were answered to exist -> partitions
	config map[string]string // topic -> answered value of the key "k"
	maybe  map[string]bool   // topics whose last request was not answered: anything goes
	ids    map[int64]bool    // producer id blocks given

	brokers map[bool]bool // on all brokers, on this one: "k" was answered to be set
	offsets []int64       // that the group g may have: the last that was answered, and those asked for since
}

func newWorld(t *testing.T) *world {
	return &world{t: t, dir: t.TempDir(), disk: newDisk(t), has: map[string]int{}, config: map[string]string{}, maybe: map[string]bool{}, ids: map[int64]bool{}, brokers: map[bool]bool{}, offsets: []int64{-1}}
}

// start runs the broker's start over what lies in the directories.
func (w *world) start() error {
	e, err := Open(testOptions(w.dir))
	if err != nil {
		return err
	}
	hook := func(string) error { return w.disk.fault.step() }
	if e.store != nil {
		e.store.hook = hook
	}
	w.edge = e
	found := w.disk.found()
	remove, err := e.Adopt(found, Circumstances{AllOnline: true})
	if err != nil {
		return err
	}
	for _, i := range remove {
		if err := w.disk.fault.step(); err != nil {
			return err
		}
		w.disk.remove(found, []int{i})
	}
	e.store.hook = hook
	return e.Start(w.disk)
}

func (w *world) stop() {
	if w.edge != nil {
		w.edge.Close()
	}
}

// asked notes what a request was answered.
func (w *world) asked(topic string, err error, then func()) {
	if err == nil {
		then()
		delete(w.maybe, topic)
		return
	}
	w.maybe[topic] = true
}

// live is what the broker's clients do; every request is answered or the broker
// died.
func (w *world) live() {
	e := w.edge
	create := func(names ...string) {
		var reqs []meta.NewTopic
		for _, n := range names {
			reqs = append(reqs, meta.NewTopic{Name: n, Partitions: 2, ReplicationFactor: 1})
		}
		for i, r := range e.CreateTopics(reqs, false) {
			w.asked(names[i], r.Err, func() { w.has[names[i]] = 2; delete(w.config, names[i]) })
		}
	}
	remove := func(names ...string) {
		var refs []meta.TopicRef
		for _, n := range names {
			refs = append(refs, meta.TopicRef{Name: n})
		}
		for i, r := range e.DeleteTopics(refs) {
			w.asked(names[i], r.Err, func() { delete(w.has, names[i]) })
		}
	}
	block := func() {
		if start, n, err := e.ProducerIDBlock(); err == nil {
			if w.ids[start] || n != 1000 {
				w.t.Errorf("producer ids from %d were given before", start)
			}
			w.ids[start] = true
		}
	}
	create("a", "b")
	block()
	w.commit()
	err := e.AlterTopicConfig("a", func(c map[string]string) (map[string]string, error) { c["k"] = "v"; return c, nil }, false)
	w.asked("a", err, func() { w.config["a"] = "v" })
	for _, all := range []bool{true, false} {
		err := e.AlterBrokerConfig(all, func(c map[string]string) (map[string]string, error) { c["k"] = "v"; return c, nil }, false)
		if err == nil {
			w.brokers[all] = true
		}
	}
	r := e.CreatePartitions([]meta.NewPartitions{{Topic: "a", Count: 4}}, false)[0]
	w.asked("a", r.Err, func() { w.has["a"] = 4 })
	remove("a", "b")
	create("a", "c")
	block()
	w.commit()
	if _, err := e.AutoCreate("d"); err == nil {
		w.has["d"] = 2
	} else {
		w.maybe["d"] = true
	}
}

// commit asks for the group's next offset to be kept.
func (w *world) commit() {
	next := w.offsets[len(w.offsets)-1] + 1
	w.offsets = append(w.offsets, next)
	if err := NewConsumerOffsets(w.edge).Store("g", []meta.ConsumerOffset{{Partition: meta.Partition{Topic: "a"}, Offset: next}}); err == nil {
		w.offsets = []int64{next}
	}
}

// check compares the picture, the logs and what was answered.
func (w *world) check(when string) {
	m := w.edge.Image()
	logs := map[meta.Partition]meta.TopicID{}
	for _, topic := range m.Topics() {
		for i, p := range topic.Partitions {
			logs[meta.Partition{Topic: topic.Name, Index: int32(i)}] = topic.ID
			if p.Leader != 1 {
				w.t.Errorf("%s: %s-%d has leader %d", when, topic.Name, i, p.Leader)
			}
		}
	}
	for p, l := range w.disk.logs {
		if logs[p] != l.id {
			w.t.Errorf("%s: log %s of %s, the image has %s", when, p, l.id, logs[p])
		}
	}
	for p := range logs {
		if w.disk.logs[p] == nil {
			w.t.Errorf("%s: %s has no log", when, p)
		}
	}
	if c := w.edge.configs; w.brokers[true] && c.All["k"] != "v" || w.brokers[false] && c.Own["k"] != "v" {
		w.t.Errorf("%s: what was set on brokers is %+v, answered for were %v", when, c, w.brokers)
	}
	of := []meta.ConsumerOffset{{Partition: meta.Partition{Topic: "a"}}}
	if err := NewConsumerOffsets(w.edge).Load("g", of); err != nil || !slices.Contains(w.offsets, of[0].Offset) {
		w.t.Errorf("%s: the group has offset %+v, %v; it may have %v", when, of[0], err, w.offsets)
	}
	for name, n := range w.has {
		if t := m.Topic(name); !w.maybe[name] && (t == nil || len(t.Partitions) != n || t.Config["k"] != w.config[name]) {
			w.t.Errorf("%s: topic %s was answered to have %d partitions and k=%s: %+v", when, name, n, w.config[name], t)
		}
	}
	for _, t := range m.Topics() {
		if _, ok := w.has[t.Name]; !ok && !w.maybe[t.Name] {
			w.t.Errorf("%s: topic %s should not be there", when, t.Name)
		}
	}
}

// The broker dies at its first write or call of a replica, then, in a world of
// its own, at its second, … until the story passes untouched. After each death
// the next start finds everything that was answered, nothing that was not
// asked, and no log without a topic or topic without a log.
func TestDeathAtEveryStep(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		w.disk.fault = &fault{at: at, err: errCrash}
		if err := w.start(); err == nil {
			w.live()
		}
		died := w.disk.fault.seen >= at
		w.stop()
		w.disk.fault = &fault{}
		if err := w.start(); err != nil {
			t.Fatalf("death at step %d: start: %v", at, err)
		}
		w.check(fmt.Sprintf("death at step %d", at))
		w.live() // and it is a whole broker again
		w.check(fmt.Sprintf("death at step %d, second life", at))
		w.stop()
		if t.Failed() {
			return
		}
		if !died {
			if at < 50 {
				t.Fatalf("only %d steps: the hooks do not fire", at)
			}
			return
		}
	}
}

// It also dies at every step of a start that has a death to repair.
func TestDeathDuringRepair(t *testing.T) {
	for first := 1; first < 60; first += 13 {
		for second := 1; ; second++ {
			w := newWorld(t)
			w.disk.fault = &fault{at: first, err: errCrash}
			if err := w.start(); err == nil {
				w.live()
			}
			w.stop()
			w.disk.fault = &fault{at: second, err: errCrash}
			_ = w.start() // dies somewhere in it, or gets through
			died := w.disk.fault.seen >= second
			w.stop()
			w.disk.fault = &fault{}
			when := fmt.Sprintf("deaths at steps %d and %d", first, second)
			if err := w.start(); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			w.check(when)
			w.stop()
			if t.Failed() {
				return
			}
			if !died {
				break
			}
		}
	}
}

// The disk is full for one write, then there is room again: what was refused is
// refused whole, and the broker goes on without a restart.
func TestFullDiskAtEveryWrite(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		if err := w.start(); err != nil {
			t.Fatal(err)
		}
		f := &fault{at: at, err: fmt.Errorf("write: %w", syscall.ENOSPC), once: true}
		w.edge.store.hook = func(stage string) error {
			if stage == "commit" {
				return f.step()
			}
			return nil
		}
		w.live()
		when := fmt.Sprintf("full at write %d", at)
		if w.edge.broken != nil {
			t.Fatalf("%s: the edge is broken: %v", when, w.edge.broken)
		}
		// What is left half done is finished by asking again.
		for name := range w.maybe {
			if _, deleting := w.edge.machine.Known(name); deleting {
				if r := w.edge.DeleteTopics([]meta.TopicRef{{Name: name}})[0]; r.Err != nil {
					t.Errorf("%s: delete %s again: %v", when, name, r.Err)
				}
			}
		}
		w.check(when)
		w.stop()
		w.disk.fault = &fault{}
		if err := w.start(); err != nil {
			t.Fatalf("%s: restart: %v", when, err)
		}
		w.check(when + ", restart")
		w.stop()
		if t.Failed() || f.seen < at {
			return
		}
	}
}

// A store that fails for another reason takes no further decision, and says so.
func TestBrokenStoreStaysBroken(t *testing.T) {
	w := newWorld(t)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	w.edge.store.hook = func(string) error { return syscall.EIO }
	if r := w.edge.CreateTopics([]meta.NewTopic{{Name: "a", Partitions: 1, ReplicationFactor: 1}}, false)[0]; !errors.Is(r.Err, meta.ErrStorage) {
		t.Errorf("got %v", r.Err)
	}
	w.edge.store.hook = nil
	if r := w.edge.CreateTopics([]meta.NewTopic{{Name: "b", Partitions: 1, ReplicationFactor: 1}}, false)[0]; !errors.Is(r.Err, meta.ErrStorage) {
		t.Errorf("got %v", r.Err)
	}
	if _, _, err := w.edge.ProducerIDBlock(); err == nil {
		t.Error("a producer id was given")
	}
	if len(w.edge.Image().Topics()) != 0 {
		t.Error("a topic was published")
	}
}

// A store is found in any directory, never two of them, never under another
// process, and half of a new one is no store.
func TestFindingTheStore(t *testing.T) {
	d1, d2 := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(d1, FileName+".tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	begin := func(dirs ...string) (*Edge, error) {
		e, err := Open(testOptions(dirs...))
		if err == nil {
			_, err = e.Adopt(nil, Circumstances{})
		}
		return e, err
	}
	e, err := begin(d1, d2)
	if err != nil {
		t.Fatal(err)
	}
	id := e.StoreID()
	if _, err := Open(testOptions(d1)); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	e.Close()
	e, err = Open(testOptions(d2, d1))
	if err != nil || e.StoreID() != id || e.Fresh() {
		t.Errorf("the store in the second directory: %v", err)
	}
	e.Close()
	e, err = begin(d2)
	if err != nil || e.StoreID() == id {
		t.Errorf("a new one: %v", err)
	}
	e.Close()
	if _, err := Open(testOptions(d1, d2)); !errors.Is(err, ErrTwoStores) {
		t.Errorf("two stores: %v", err)
	}
	names, _ := os.ReadDir(d1)
	if len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
	if err := os.WriteFile(filepath.Join(d2, FileName), make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testOptions(d2)); err == nil {
		t.Error("zeros were taken for a store")
	}
}

// A start that is refused leaves no file behind.
func TestRefusedStartLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Adopt([]Found{{Topic: "a", ID: meta.NewTopicID()}, {Topic: "a", Partition: 1, ID: meta.NewTopicID()}}, Circumstances{AllOnline: true})
	if !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	e.Close()
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

// Many callers at once: one creates, all get the same topic; blocks of producer
// ids never meet.
func TestManyCallers(t *testing.T) {
	w := newWorld(t)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	topics := make([]*meta.Topic, 8)
	blocks := make([]int64, 8)
	errs := sideBySide(8, func(i int) error {
		var err, err2 error
		topics[i], err = w.edge.AutoCreate("t")
		blocks[i], _, err2 = w.edge.ProducerIDBlock()
		return errors.Join(err, err2)
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		if topic.ID != topics[0].ID {
			t.Error("two topics of one name")
		}
	}
	slices.Sort(blocks)
	if len(slices.Compact(blocks)) != 8 || blocks[0] < firstIDMin {
		t.Errorf("blocks %v", blocks)
	}
	if len(slices.Collect(maps.Keys(w.disk.logs))) != 2 {
		t.Error("logs")
	}
}
