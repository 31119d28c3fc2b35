// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
	"pgregory.net/rapid"
)

// expected is what the test knows of one log.
type expected struct {
	id      byte
	log     *Log
	batches []batch.Batch // the log's history as it stands
	ever    map[string]bool
	start   engine.Offset // told to be the log start, durably
	kept    engine.Offset // retention may have taken what lies below
	limit   engine.Offset // a truncation on its way: nothing is promised above
	epoch   engine.Epoch
}

// promise is what must hold of a log after a power cut.
type promise struct {
	durable, start, kept engine.Offset
	batches              []batch.Batch
}

// world is one directory with what is expected of it, across power cuts.
type world struct {
	t     *rapid.T
	mu    sync.Mutex
	mem   *vfs.Mem
	r     *rig
	logs  map[string]*expected
	gone  map[byte]bool // ids of removed topics
	next  byte
	epoch engine.Epoch // never used twice
	size  int
	// settled waits after every append, so that a run repeats.
	settled bool
	// journal is the size of its files: in small ones many batches find no room.
	journal int64
	// keep is how much of them is kept in memory.
	keep int64

	reads atomic.Int64 // bytes asked of the disk, by whomever

	// The power goes at this operation of the file system; 0: not yet decided.
	at       int64
	seen     int64
	seed     int64
	cut      *vfs.Mem
	promised map[string]promise
	goneThen map[byte]bool
}

func (w *world) boot(mem *vfs.Mem) {
	w.mem = mem
	w.r = newRig(w.t, vfs.Inject(mem, w.watch))
	w.r.change = func(o *Options) {
		o.Writer = syncWriter{}
		o.BudgetBytes, o.JournalBytes, o.KeepBytes = 1<<20, w.journal, w.keep
		o.CheckpointMs = 1 << 40 // when the test says so, or a file is full
	}
	w.reads.Store(0)
	w.r.open()
	w.readLittle()
}

// watch takes the picture when the power goes.
func (w *world) watch(op vfs.Op) error {
	if op.Kind == vfs.OpRead {
		w.reads.Add(int64(op.Len))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !op.Kind.Changes() || op.Kind == vfs.OpWrite && strings.Contains(op.Name, "samsa.journal") {
		return nil // zeroing goes on in the background: its moments do not repeat
	}
	w.seen++
	if w.at == 0 || w.seen != w.at {
		return nil
	}
	w.promised = map[string]promise{}
	for name, x := range w.logs {
		p := promise{start: x.start, kept: x.kept, batches: slices.Clone(x.batches)}
		if x.log != nil {
			p.durable = min(x.log.DurableEnd(), x.limit)
		}
		w.promised[name] = p
	}
	w.goneThen = maps.Clone(w.gone)
	w.cut = w.mem.CrashClone(w.seed)
	return nil
}

func (w *world) pick() *expected {
	names := slices.Sorted(maps.Keys(w.logs))
	if len(names) == 0 {
		return nil
	}
	return w.logs[rapid.SampledFrom(names).Draw(w.t, "log")]
}

const noLimit = 1 << 62

func (w *world) create() {
	name := fmt.Sprintf("t-%d", rapid.IntRange(0, 3).Draw(w.t, "partition"))
	topic, partition, _ := parseLogName(name)
	if w.logs[name] != nil {
		return
	}
	w.next++
	l, err := w.r.d.Create([16]byte{w.next}, topic, partition, testConfig())
	w.must(err)
	w.mu.Lock()
	w.logs[name] = &expected{id: w.next, log: l, ever: map[string]bool{}, limit: noLimit}
	w.mu.Unlock()
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) append() {
	x := w.pick()
	if x == nil {
		return
	}
	for range rapid.IntRange(1, 4).Draw(w.t, "batches") {
		w.size++
		text := fmt.Sprintf("topic %d append %d %s", x.id, w.size, bytes.Repeat([]byte{'x'}, rapid.SampledFrom([]int{0, 50, 1000, 3000}).Draw(w.t, "size")))
		b := records(rapid.SampledFrom([]int{1, 2, 3, 5}).Draw(w.t, "records"), text)
		a := engine.Append{Batches: b, Origin: engine.Client, Epoch: x.epoch}
		// The picture may be taken while it is written: it may be there then.
		w.must(x.log.Stage(&a))
		w.mu.Lock()
		x.batches = append(x.batches, batch.Batch(bytes.Clone(a.Batches)))
		x.ever[string(a.Batches)] = true
		w.mu.Unlock()
		_, err := x.log.Write()
		w.must(err)
		if w.settled || rapid.IntRange(0, 3).Draw(w.t, "wait") == 0 {
			w.must(waitDurable(x.log, x.log.End()))
		}
	}
}

func (w *world) truncate() {
	x := w.pick()
	if x == nil || len(x.batches) == 0 {
		return
	}
	i := rapid.IntRange(0, len(x.batches)-1).Draw(w.t, "keep")
	end := engine.Offset(x.batches[i].BaseOffset())
	if end < x.start {
		return
	}
	w.mu.Lock()
	x.limit = end
	w.mu.Unlock()
	w.must(x.log.TruncateTo(end))
	w.mu.Lock()
	x.batches = slices.Clone(x.batches[:i])
	x.limit = noLimit
	w.epoch++ // who truncates follows a new leader
	x.epoch = w.epoch
	w.mu.Unlock()
	if x.log.End() != end || x.log.DurableEnd() > end {
		w.t.Fatalf("truncated to %d: end %d, durable end %d", end, x.log.End(), x.log.DurableEnd())
	}
}

func (w *world) trim() {
	x := w.pick()
	if x == nil || len(x.batches) == 0 {
		return
	}
	start := engine.Offset(x.batches[rapid.IntRange(0, len(x.batches)-1).Draw(w.t, "start")].BaseOffset())
	w.must(waitDurable(x.log, x.log.End()))
	w.must(x.log.TrimTo(start))
	w.mu.Lock()
	x.start = max(x.start, start)
	w.mu.Unlock()
}

func (w *world) remove() {
	x := w.pick()
	if x == nil {
		return
	}
	name := x.log.Name()
	w.mu.Lock()
	delete(w.logs, name) // from here on it may be there or not
	w.mu.Unlock()
	w.must(w.r.d.Remove(x.log))
	w.mu.Lock()
	w.gone[x.id] = true
	w.mu.Unlock()
}

func (w *world) tidy() {
	if x := w.pick(); x != nil && rapid.Bool().Draw(w.t, "roll") {
		w.must(x.log.Roll())
	}
	w.must(w.r.d.checkpoints.now())
	if x := w.pick(); x != nil {
		w.mu.Lock()
		x.kept = x.log.DurableEnd()
		w.mu.Unlock()
		_, err := x.log.Expire(time.Now(), x.log.DurableEnd())
		w.must(err)
		w.mu.Lock()
		x.kept = x.log.Start()
		w.mu.Unlock()
	}
}

// restart stops cleanly: everything is there, batch by batch.
func (w *world) restart() {
	w.mu.Lock()
	w.at = 0
	if w.cut != nil {
		w.mu.Unlock()
		w.powerCut()
		return
	}
	w.mu.Unlock()
	want := map[string]promise{}
	for name, x := range w.logs {
		want[name] = promise{durable: x.log.End(), start: x.start, kept: x.kept, batches: x.batches}
	}
	w.r.close(true)
	w.boot(w.mem)
	if !w.r.d.Clean() {
		w.t.Fatal("a clean stop was not")
	}
	w.compare(want, w.gone)
}

// decide lets the power go at one of the next operations.
func (w *world) decide() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == 0 {
		w.at = w.seen + int64(rapid.IntRange(1, 60).Draw(w.t, "operations until the power goes"))
		w.seed = rapid.Int64().Draw(w.t, "seed")
	}
}

// powerCut goes on with what the picture shows, at once or after dying within
// replayJournal as well, and compares.
func (w *world) powerCut() {
	w.mu.Lock()
	cut, want, gone := w.cut, w.promised, w.goneThen
	w.cut, w.at = nil, 0
	w.mu.Unlock()
	if cut == nil {
		return
	}
	w.must(w.r.d.Close(false))
	for range rapid.IntRange(0, 2).Draw(w.t, "deaths within replay") {
		var again *vfs.Mem
		at := int64(rapid.IntRange(1, 80).Draw(w.t, "operation of replay"))
		r := newRig(w.t, vfs.Inject(cut, func(op vfs.Op) error {
			if op.N == at {
				again = cut.CrashClone(at)
			}
			return nil
		}))
		r.open()
		r.close(false)
		if again != nil {
			cut = again
		}
	}
	w.gone = gone
	w.boot(cut)
	w.compare(want, gone)
}

// compare checks what was promised and takes what is there from here on.
func (w *world) compare(want map[string]promise, gone map[byte]bool) {
	for _, x := range w.r.dropped {
		if p, ok := want[x.Log]; ok && engine.Offset(x.To) > p.kept {
			w.t.Fatalf("records were dropped: %+v", x)
		}
	}
	old := w.logs
	logs := map[string]*expected{}
	w.epoch++ // every start raises it
	for name, l := range w.r.logs {
		if id := l.ID()[0]; gone[id] {
			w.t.Fatalf("%s: topic %d was removed and is back", name, id)
		}
		x := &expected{id: l.ID()[0], log: l, ever: map[string]bool{}, limit: noLimit, start: l.Start(), epoch: w.epoch}
		b, err := content(l)
		w.must(err)
		for len(b) > 0 {
			one, rest, err := batch.Next(b)
			w.must(err)
			x.batches = append(x.batches, one)
			x.ever[string(one)] = true
			b = rest
		}
		logs[name] = x
		w.compareLog(name, x, want[name], old[name])
	}
	for name, p := range want {
		if logs[name] == nil && p.durable > 0 && old[name] != nil {
			w.t.Fatalf("%s is gone with %d durable offsets", name, p.durable)
		}
	}
	w.mu.Lock()
	w.logs = logs
	w.mu.Unlock()
}

// readLittle holds a start to what it may read: by its own count and, with a
// few files more that it does not count, by the disk's.
func (w *world) readLittle() {
	if w.keep != 0 {
		return // most of the journal is read twice
	}
	r, s := w.r.recovered, w.r.started
	unflushed, read := s.Bytes+r.BytesAbove, s.BytesRead+s.BytesSearched+r.BytesRead
	limit := unflushed*12/10 + 64<<10*int64(max(1, len(w.r.logs)))
	if asked := w.reads.Load(); read > limit || asked > limit+32<<10 {
		w.t.Fatalf("read %d bytes, %d by the disk's count, %d were not flushed: %+v %+v", read, asked, unflushed, s, r)
	}
}

func (w *world) compareLog(name string, x *expected, p promise, old *expected) {
	if x.log.Start() < p.start {
		w.t.Fatalf("%s starts at %d, was trimmed to %d", name, x.log.Start(), p.start)
	}
	if x.log.End() < p.durable {
		w.t.Fatalf("%s ends at %d, %d was durable", name, x.log.End(), p.durable)
	}
	at := map[int64]batch.Batch{}
	for _, b := range x.batches {
		at[b.BaseOffset()] = b
		if old != nil && old.id == x.id && !old.ever[string(b)] {
			w.t.Fatalf("%s: batch at %d was never appended", name, b.BaseOffset())
		}
	}
	for _, b := range p.batches {
		base, last := engine.Offset(b.BaseOffset()), engine.Offset(b.LastOffset())
		if last < p.durable && base >= max(x.log.Start(), p.kept) && !bytes.Equal(at[int64(base)], b) {
			w.t.Fatalf("%s: batch %d-%d was durable and is not there (start %d, end %d, durable %d, %d of %d batches, %+v)",
				name, base, last, x.log.Start(), x.log.End(), p.durable, len(x.batches), len(p.batches), w.r.started)
		}
	}
}

// Random appends, rolls, truncations, trims, removals, checkpoints, clean stops
// and power cuts, within replay too: every acknowledged offset is there and
// nothing that was removed comes back.
func TestRandomLives(t *testing.T) {
	t.Run("settled", func(t *testing.T) { randomLives(t, true, 1<<20, 0) }) // no file is filled
	t.Run("side by side", func(t *testing.T) { randomLives(t, false, testJournal, 0) })
	t.Run("read twice", func(t *testing.T) { randomLives(t, false, testJournal, 5000) })
	t.Run("no room", func(t *testing.T) { randomLives(t, false, journalBytesMin, 0) })
}

func randomLives(t *testing.T, settled bool, journal, keep int64) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, settled: settled, journal: journal, keep: keep, logs: map[string]*expected{}, gone: map[byte]bool{}}
		mem := vfs.NewMem()
		w.must(mem.Mkdir("/d"))
		w.must(mem.SyncDir("/"))
		w.boot(mem)
		actions := []func(){
			w.create, w.append, w.append, w.append, w.append, w.append, w.truncate, w.trim, w.remove, w.tidy,
			w.decide, w.decide, w.powerCut, w.powerCut, w.restart,
		}
		for range 60 {
			actions[rapid.IntRange(0, len(actions)-1).Draw(t, "action")]()
		}
		w.must(w.r.d.Close(true))
	})
}
