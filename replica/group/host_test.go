// SPDX-License-Identifier: Apache-2.0

package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/dir"
	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/replica"
)

// homeLoop is a Home: one goroutine that runs what is posted, in order.
type homeLoop struct {
	mu    sync.Mutex
	some  sync.Cond
	tasks []replica.Task
	ended bool
	done  chan struct{}
}

func newHomeLoop(t testing.TB) *homeLoop {
	l := &homeLoop{done: make(chan struct{})}
	l.some.L = &l.mu
	go func() {
		defer close(l.done)
		for {
			l.mu.Lock()
			for len(l.tasks) == 0 && !l.ended {
				l.some.Wait()
			}
			if len(l.tasks) == 0 {
				l.mu.Unlock()
				return
			}
			task := l.tasks[0]
			l.tasks = l.tasks[1:]
			l.mu.Unlock()
			task.Run()
		}
	}()
	t.Cleanup(func() {
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		l.some.Signal()
		<-l.done
	})
	return l
}

func (l *homeLoop) Post(t replica.Task) {
	l.mu.Lock()
	l.tasks = append(l.tasks, t)
	l.mu.Unlock()
	l.some.Signal()
}

const hostPartitions = 3

var offsetsTopicID = meta.TopicID{1, 2, 3}

// hostWorld is a broker with nothing but __consumer_offsets, on a disk in memory.
type hostWorld struct {
	t      *testing.T
	dir    *dir.Dir
	set    *replica.Set
	host   *Host
	home   *homeLoop
	loaded chan string
}

// newHostWorld starts a broker on the disk, and waits until its groups are served.
func newHostWorld(t *testing.T, disk vfs.FS, epoch engine.Epoch, prepare func(*hostWorld)) *hostWorld {
	t.Helper()
	if err := disk.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	w := &hostWorld{t: t, home: newHomeLoop(t), loaded: make(chan string, 10)}
	var err error
	w.dir, err = dir.Open(dir.Options{FS: disk, Path: "/data", BrokerID: 1, ClusterID: "c", Durability: dir.Journal, JournalBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	pool := func(f func()) { go f() }
	w.set = replica.NewSet(replica.Options{Broker: 1, Dirs: []*dir.Dir{w.dir}, Homes: []replica.Home{w.home}, Pool: pool})
	if err := errors.Join(w.set.Recover(func(meta.Partition) *engine.Config { return engine.DefaultConfig() }), w.set.Start()); err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.InitialRebalanceDelayMs = 0
	o.Events = &Events{
		Loaded:        func(p int32, groups, offsets int, _ int64) { w.loaded <- fmt.Sprintf("%d: %d %d", p, groups, offsets) },
		LoadFailed:    func(p int32, err error) { w.loaded <- fmt.Sprintf("%d: %v", p, err) },
		RecordSkipped: func(p int32, offset int64, err error) { w.loaded <- fmt.Sprintf("%d: %d: %v", p, offset, err) },
	}
	w.host = NewHost(HostOptions{Options: o, Partitions: func() int32 { return hostPartitions }, Set: w.set, Pool: pool, Now: time.Now})
	for i := range int32(hostPartitions) {
		err := w.set.Lead(replica.Leadership{
			ID: meta.Partition{Topic: meta.OffsetsTopic, Index: i}, Topic: offsetsTopicID, Epoch: epoch,
			ISR: []meta.BrokerID{1}, Replicas: []meta.BrokerID{1}, MinISR: 1, Config: engine.DefaultConfig(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if prepare != nil {
		prepare(w)
	}
	for i := range int32(hostPartitions) {
		w.host.Lead(w.partition(i))
	}
	return w
}

func (w *hostWorld) partition(i int32) *replica.Partition {
	return w.set.Lookup([]byte(meta.OffsetsTopic), i)
}

// waitLoaded gives what the loads reported, by partition.
func (w *hostWorld) waitLoaded() []string {
	w.t.Helper()
	said := make([]string, hostPartitions)
	for range hostPartitions {
		s := w.event()
		said[s[0]-'0'] = s
	}
	return said
}

// event waits for the next thing that a load reports.
func (w *hostWorld) event() string {
	w.t.Helper()
	select {
	case s := <-w.loaded:
		return s
	case <-time.After(20 * time.Second):
		w.t.Fatal("the groups were never loaded")
		return ""
	}
}

func (w *hostWorld) close(clean bool) {
	w.t.Helper()
	w.set.Close()
	if err := w.dir.Close(clean); err != nil {
		w.t.Fatal(err)
	}
}

func (w *hostWorld) start(r Request) chan Answer {
	answers := make(chan Answer, 1)
	w.host.Ask(r, w.home, func(a Answer) { answers <- a })
	return answers
}

func (w *hostWorld) wait(answers chan Answer) Answer {
	w.t.Helper()
	select {
	case a := <-answers:
		return a
	case <-time.After(20 * time.Second):
		w.t.Fatal("no answer")
		return nil
	}
}

func (w *hostWorld) ask(r Request) Answer {
	w.t.Helper()
	return w.wait(w.start(r))
}

func joinAs(group, id, newID string) *Join {
	return &Join{Group: group, MemberID: id, NewMemberID: newID, ClientID: "c", ClientHost: "/", SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 60_000,
		ProtocolType: "consumer", Protocols: []Protocol{{Name: "range", Metadata: subscription("t")}}}
}

func commitOf(group string, offset int64) *Commit {
	return &Commit{Group: group, Generation: -1, RetentionMs: -1, Offsets: []CommitOffset{{TopicPartition: TopicPartition{"t", 0}, Offset: offset, LeaderEpoch: -1, TimestampMs: -1}}}
}

func (w *hostWorld) fetch(group string) int64 {
	w.t.Helper()
	a := w.ask(&Fetch{Group: group, Partitions: []TopicPartition{{"t", 0}}}).(*FetchAnswer)
	if a.Err != nil {
		w.t.Fatalf("fetch of %s: %v", group, a.Err)
	}
	return a.Offsets[0].Offset
}

// Groups and offsets of all partitions are there again after a clean stop and
// after a power cut, which keeps what was acknowledged.
func TestHostRestart(t *testing.T) {
	disk := vfs.NewMem()
	w := newHostWorld(t, disk, 1, nil)
	if got := fmt.Sprint(w.waitLoaded()); got != "[0: 0 0 1: 0 0 2: 0 0]" {
		t.Fatalf("loaded %s", got)
	}
	for i := range 20 {
		if a := w.ask(commitOf(fmt.Sprintf("g%d", i), int64(i))).(*CommitAnswer); a.Errs[0] != nil {
			t.Fatal(a.Errs[0])
		}
	}
	j := w.ask(joinAs("members", "", "m-1")).(*JoinAnswer)
	if j.Err != nil || j.Generation != 1 || j.Leader != "m-1" {
		t.Fatalf("%+v", j)
	}
	s := w.ask(&Sync{Group: "members", MemberID: "m-1", Generation: 1, Assignments: []Assignment{{"m-1", []byte("all")}}}).(*SyncAnswer)
	if s.Err != nil || string(s.Assignment) != "all" {
		t.Fatalf("%+v", s)
	}
	if l := w.ask(&List{}).(*ListAnswer); l.Err != nil || len(l.Groups) != 21 || l.Groups[0].Group != "g0" || l.Groups[20].Group != "members" {
		t.Fatalf("%+v", l)
	}
	w.set.Close()
	if a := w.ask(&Heartbeat{Group: "members", MemberID: "m-1", Generation: 1}).(*HeartbeatAnswer); !errors.Is(a.Err, ErrNotCoordinator) {
		t.Fatalf("a heartbeat after the stop: %v", a.Err)
	}
	w.close(true)

	w = newHostWorld(t, disk, 2, nil)
	w.waitLoaded()
	for i := range 20 {
		if got := w.fetch(fmt.Sprintf("g%d", i)); got != int64(i) {
			t.Fatalf("g%d is at %d after a restart", i, got)
		}
	}
	if a := w.ask(&Heartbeat{Group: "members", MemberID: "m-1", Generation: 1}).(*HeartbeatAnswer); a.Err != nil {
		t.Fatalf("a heartbeat after the restart: %v", a.Err)
	}
	w.ask(commitOf("g0", 1000))
	cut := disk.CrashClone(1)
	w.close(true)

	w = newHostWorld(t, cut, 3, nil)
	w.waitLoaded()
	if got := w.fetch("g0"); got != 1000 {
		t.Fatalf("g0 is at %d after a power cut, 1000 was acknowledged", got)
	}
	if got := w.fetch("g19"); got != 19 {
		t.Fatalf("g19 is at %d after a power cut", got)
	}
	w.close(true)
}

// Whoever waits when the partition goes to another broker hears of it.
func TestHostResign(t *testing.T) {
	w := newHostWorld(t, vfs.NewMem(), 1, nil)
	w.waitLoaded()
	first := w.ask(joinAs("g", "", "m-1")).(*JoinAnswer)
	if first.Err != nil {
		t.Fatal(first.Err)
	}
	waiting := w.start(joinAs("g", "", "m-2"))
	index := w.host.PartitionFor("g")
	w.host.Lead(w.partition(index)) // again: nothing changes
	if a := w.ask(&Describe{Group: "g"}).(*DescribeAnswer); a.State != PreparingRebalance {
		t.Fatalf("%+v", a)
	}
	w.host.Resign(index)
	if a := w.wait(waiting).(*JoinAnswer); !errors.Is(a.Err, ErrNotCoordinator) {
		t.Fatalf("%+v", a)
	}
	if a := w.ask(commitOf("g", 1)).(*CommitAnswer); !errors.Is(a.Errs[0], ErrNotCoordinator) {
		t.Fatalf("%+v", a)
	}
	if a := w.ask(&List{}).(*ListAnswer); a.Err != nil || len(a.Groups) != 0 {
		t.Fatalf("%+v", a)
	}
	w.close(true)
}

// The partition is deleted under the feet of its groups.
func TestHostStop(t *testing.T) {
	w := newHostWorld(t, vfs.NewMem(), 1, nil)
	w.waitLoaded()
	w.ask(joinAs("g", "", "m-1"))
	waiting := w.start(joinAs("g", "", "m-2"))
	index := w.host.PartitionFor("g")
	if err := w.set.Stop(meta.Partition{Topic: meta.OffsetsTopic, Index: index}, true); err != nil {
		t.Fatal(err)
	}
	if a := w.ask(&Heartbeat{Group: "g", MemberID: "m-1", Generation: 1}).(*HeartbeatAnswer); !errors.Is(a.Err, ErrNotCoordinator) {
		t.Fatalf("%+v", a)
	}
	if a := w.wait(waiting).(*JoinAnswer); !errors.Is(a.Err, ErrNotCoordinator) {
		t.Fatalf("%+v", a)
	}
	w.close(true)
}

// Time passes by Tick: a member that falls silent is gone.
func TestHostTick(t *testing.T) {
	w := newHostWorld(t, vfs.NewMem(), 1, nil)
	w.waitLoaded()
	w.ask(joinAs("g", "", "m-1"))
	w.ask(&Sync{Group: "g", MemberID: "m-1", Generation: 1})
	w.host.TopicsDeleted([]string{"t"})
	s := w.host.shard(w.host.PartitionFor("g"))
	due := s.deadline.Load()
	if in := due - time.Now().UnixMilli(); in < 5_000 || in > 10_000 {
		t.Fatalf("the session of ten seconds ends in %d ms", in)
	}
	w.host.Tick(due - 1)
	if s.ticking.Load() {
		t.Fatal("ticked before anything was due")
	}
	// The machine's own clock has not come that far: nothing expires, and the tick can come again.
	w.host.Tick(due)
	for end := time.Now().Add(20 * time.Second); s.ticking.Load(); {
		if time.Now().After(end) {
			t.Fatal("the tick never ran")
		}
		if a := w.ask(&Heartbeat{Group: "g", MemberID: "m-1", Generation: 1}).(*HeartbeatAnswer); a.Err != nil {
			t.Fatalf("%+v", a)
		}
	}
	w.close(true)
}

// What an adopted log holds of transactions is understood, what is not is named.
func TestHostLoadsForeignLog(t *testing.T) {
	value := func(offset int64) []byte {
		return encodeOffsetValue(committed{offset: offset, leaderEpoch: -1, commitMs: 1, expireMs: -1})
	}
	group := "adopted"
	build := func(producer int64, control bool, key, val []byte) []byte {
		h := batch.PlainHeader()
		if producer >= 0 {
			h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.Transactional, h.Control = producer, 0, 0, true, control
			if control {
				h.BaseSequence = batch.NoSequence
			}
		}
		var b batch.Builder
		b.Reset(h)
		b.Append(1, key, val)
		whole, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte(nil), whole...)
	}
	marker := func(commit byte) ([]byte, []byte) { return []byte{0, 0, 0, commit}, make([]byte, 6) }
	commitKey, end := marker(1)
	abortKey, _ := marker(0)
	key := func(p int32) []byte { return encodeOffsetKey(group, TopicPartition{"t", p}) }
	log := [][]byte{
		build(-1, false, key(0), value(1)),
		build(5, false, key(0), value(50)),
		build(6, false, key(1), value(60)),
		build(-1, false, []byte{0, 9}, []byte("of a later Kafka")),
		build(5, true, commitKey, end),
		build(6, true, abortKey, end),
	}
	w := newHostWorld(t, vfs.NewMem(), 1, func(w *hostWorld) {
		if a := w.ask(&Describe{Group: group}).(*DescribeAnswer); !errors.Is(a.Err, ErrNotCoordinator) {
			t.Fatalf("%+v", a)
		}
		written := make(chan error, len(log))
		e := &replica.Entry{Run: func(turn *replica.Turn, _ *replica.Entry) {
			for _, b := range log {
				turn.Append(b, func(err error) { written <- err })
			}
		}, Reserve: 4096}
		w.partition(PartitionFor(group, hostPartitions)).Enter(e)
		for range log {
			if err := <-written; err != nil {
				t.Fatal(err)
			}
		}
	})
	index := PartitionFor(group, hostPartitions)
	var skipped, done bool
	for range hostPartitions + 1 {
		said := w.event()
		skipped = skipped || said == fmt.Sprintf("%d: 3: %v: 9", index, errUnknownKey)
		done = done || said == fmt.Sprintf("%d: 1 1", index)
	}
	if !skipped || !done {
		t.Fatalf("skipped %v, loaded %v", skipped, done)
	}
	a := w.ask(&Fetch{Group: group, All: true, RequireStable: true}).(*FetchAnswer)
	if len(a.Offsets) != 1 || a.Offsets[0].Offset != 50 {
		t.Fatalf("%+v", a)
	}
	w.close(true)
}

// Messages of a Kafka before 0.11 are read too.
func TestLoadLegacyMessage(t *testing.T) {
	w := newHostWorld(t, vfs.NewMem(), 1, nil)
	w.waitLoaded()
	l := newLoader(newShard(w.host, w.partition(0)))
	key, value := encodeOffsetKey("old", TopicPartition{"t", 0}), encodeOffsetValue(committed{offset: 7, leaderEpoch: -1, expireMs: -1})
	for offset, v := range [][]byte{value, value, nil} {
		body := []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 9} // magic, attributes, timestamp
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(key))), key...)
		if v == nil {
			body = append(body, 0xff, 0xff, 0xff, 0xff)
		} else {
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(v))), v...)
		}
		m := binary.BigEndian.AppendUint64(nil, uint64(offset))
		m = binary.BigEndian.AppendUint32(m, uint32(4+len(body)))
		m = binary.BigEndian.AppendUint32(m, crc32.ChecksumIEEE(body))
		if err := l.takeLegacy(batch.Legacy(append(m, body...))); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{true: 0, false: 1}[v == nil]; len(l.replay.offsets) != want || int(l.next) != offset+1 {
			t.Fatalf("after message %d: %d offsets, next is %d", offset, len(l.replay.offsets), l.next)
		}
	}
	w.close(true)
}

// While its log is being read a group is loading: members are told to stay.
func TestHostLoading(t *testing.T) {
	w := newHostWorld(t, vfs.NewMem(), 1, nil)
	w.waitLoaded()
	index := w.host.PartitionFor("g")
	w.host.Resign(index)
	stuck := make(chan func(), 1)
	w.host.o.Pool = func(f func()) { stuck <- f }
	w.host.Lead(w.partition(index))
	for _, c := range []struct {
		r    Request
		want Answer
	}{
		{joinAs("g", "m", ""), &JoinAnswer{Err: ErrLoadInProgress, Generation: -1, MemberID: "m"}},
		{&Sync{Group: "g"}, &SyncAnswer{Err: ErrRebalanceInProgress}},
		{&Heartbeat{Group: "g"}, &HeartbeatAnswer{}},
		{&Leave{Group: "g"}, &LeaveAnswer{Err: ErrLoadInProgress}},
		{commitOf("g", 1), &CommitAnswer{Errs: []error{ErrLoadInProgress}}},
		{&Fetch{Group: "g"}, &FetchAnswer{Err: ErrLoadInProgress}},
		{&Describe{Group: "g"}, &DescribeAnswer{Err: ErrLoadInProgress}},
		{&Delete{Group: "g"}, &DeleteAnswer{Err: ErrLoadInProgress}},
		{&DeleteOffsets{Group: "g"}, &DeleteOffsetsAnswer{Err: ErrLoadInProgress}},
		{&List{}, &ListAnswer{Err: ErrLoadInProgress}},
	} {
		if got := w.ask(c.r); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%T: %+v, want %+v", c.r, got, c.want)
		}
	}
	if !w.host.Loading() {
		t.Error("nothing is loading")
	}
	w.host.TopicsDeleted([]string{"t"})
	(<-stuck)()
	w.event()
	if a := w.ask(commitOf("g", 1)).(*CommitAnswer); a.Errs[0] != nil {
		t.Fatal(a.Errs[0])
	}
	w.close(true)
}

// A full disk refuses a commit, which is then not there; when there is room
// again the group goes on.
func TestHostDiskFull(t *testing.T) {
	var full atomic.Bool
	disk := vfs.Inject(vfs.NewMem(), func(op vfs.Op) error {
		if full.Load() && op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, ".log") {
			return syscall.ENOSPC
		}
		return nil
	})
	w := newHostWorld(t, disk, 1, nil)
	w.waitLoaded()
	if a := w.ask(commitOf("g", 1)).(*CommitAnswer); a.Errs[0] != nil {
		t.Fatal(a.Errs[0])
	}
	full.Store(true)
	if a := w.ask(commitOf("g", 2)).(*CommitAnswer); !errors.Is(a.Errs[0], ErrNotCoordinator) {
		t.Fatalf("a commit on a full disk: %v", a.Errs[0])
	}
	if got := w.fetch("g"); got != 1 {
		t.Fatalf("after a refused commit the group is at %d", got)
	}
	full.Store(false)
	if a := w.ask(commitOf("g", 3)).(*CommitAnswer); a.Errs[0] != nil {
		t.Fatalf("a commit when there is room again: %v", a.Errs[0])
	}
	if got := w.fetch("g"); got != 3 {
		t.Fatalf("the group is at %d", got)
	}
	w.close(true)
}
