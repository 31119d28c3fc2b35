// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// world is a Set over directories in memory, with loops of its own.
type world struct {
	t     testing.TB
	fs    vfs.FS
	dirs  []*dir.Dir
	loops []*loop
	homes []Home
	set   *Set
	topic meta.TopicID

	durableAcks map[string]bool // of the last hammer: values acknowledged at acks 1 or all
	stopped     bool
}

// stop closes the Set and its directories, as the end of the process would.
func (w *world) stop(clean bool) {
	w.t.Helper()
	closed := make(chan struct{})
	for _, h := range w.homes {
		if h, ok := h.(*inbox); ok {
			go h.drainUntil(closed)
		}
	}
	w.set.Close()
	close(closed)
	for _, d := range w.dirs {
		if err := d.Close(clean); err != nil && clean && d.Err() == nil {
			w.t.Error(err)
		}
	}
	w.stopped = true
}

type worldOptions struct {
	fs     vfs.FS // nil: memory
	root   string // where the directories are; "" for /
	dirs   int    // 0: 1
	loops  int    // 0: 1
	budget int64  // of each directory's room; 0: the directory's own
	kafka  bool   // no journal
	homes  []Home // instead of loops
	events *Events
	now    func() time.Time // the directories' clock; nil: time.Now
}

func newWorld(t testing.TB, o worldOptions) *world {
	t.Helper()
	w := &world{t: t, fs: o.fs, topic: meta.TopicID{7, 7}}
	if w.fs == nil {
		w.fs = vfs.NewMem()
	}
	homes := o.homes
	if homes == nil {
		for range max(1, o.loops) {
			l := newLoop(t)
			w.loops = append(w.loops, l)
			homes = append(homes, l)
		}
	}
	w.homes = homes
	for i := range max(1, o.dirs) {
		w.dirs = append(w.dirs, openDir(t, w.fs, fmt.Sprintf("%s/data%d", o.root, i), o))
	}
	w.set = NewSet(Options{Broker: 1, Dirs: w.dirs, Homes: homes, Pool: func(f func()) { go f() }, Events: o.events})
	if err := errors.Join(w.set.Recover(func(meta.Partition) *engine.Config { return keepAll() }), w.set.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !w.stopped {
			w.stop(true)
		}
	})
	return w
}

func openDir(t testing.TB, fs vfs.FS, path string, o worldOptions) *dir.Dir {
	t.Helper()
	if err := errors.Join(fs.MkdirAll(path), fs.SyncDir(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	durability := dir.Journal
	if o.kafka {
		durability = dir.Kafka
	}
	if o.now == nil {
		o.now = time.Now
	}
	d, err := dir.Open(dir.Options{FS: fs, Path: path, BrokerID: 1, ClusterID: "cluster", Durability: durability,
		BudgetBytes: o.budget, JournalBytes: 1 << 20, Now: o.now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) leadership(index int32, epoch engine.Epoch) Leadership {
	return Leadership{ID: meta.Partition{Topic: "orders", Index: index}, Topic: w.topic, Epoch: epoch,
		ISR: []meta.BrokerID{1}, Replicas: []meta.BrokerID{1}, MinISR: 1, Config: keepAll()}
}

// keepAll is the default configuration without retention: what newBatch stamps is long ago.
func keepAll() *engine.Config {
	c := *engine.DefaultConfig()
	c.RetentionMs = -1
	return &c
}

// lead makes partition index of "orders".
func (w *world) lead(index int32) *Partition {
	w.t.Helper()
	if err := w.set.Lead(w.leadership(index, 5)); err != nil {
		w.t.Fatal(err)
	}
	p := w.set.Lookup([]byte("orders"), index)
	if p == nil {
		w.t.Fatal("led and not to be found")
	}
	return p
}

// newBatch makes a v2 batch whose records have the given values.
func newBatch(values ...[]byte) []byte {
	b := make([]byte, 61, 128)
	for i, v := range values {
		var r []byte
		r = append(r, 0)                          // attributes
		r = binary.AppendVarint(r, 0)             // timestamp delta
		r = binary.AppendVarint(r, int64(i))      // offset delta
		r = binary.AppendVarint(r, -1)            // no key
		r = binary.AppendVarint(r, int64(len(v))) // value
		r = append(r, v...)
		r = binary.AppendVarint(r, 0) // no headers
		b = binary.AppendVarint(b, int64(len(r)))
		b = append(b, r...)
	}
	be := binary.BigEndian
	be.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2
	be.PutUint32(b[23:], uint32(len(values)-1))
	be.PutUint64(b[27:], 1_700_000_000_000)
	be.PutUint64(b[35:], 1_700_000_000_000)
	be.PutUint64(b[43:], ^uint64(0)) // no producer
	be.PutUint16(b[51:], 0xffff)
	be.PutUint32(b[53:], 0xffffffff)
	be.PutUint32(b[57:], uint32(len(values)))
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// record is one record as a reader found it.
type record struct {
	offset engine.Offset
	value  string
}

// records walks the whole batches in b; what is cut off at the end is left.
func records(t testing.TB, b []byte) (all []record) {
	t.Helper()
	be := binary.BigEndian
	for len(b) >= 61 {
		size := 12 + int(be.Uint32(b[8:]))
		if size > len(b) {
			return all
		}
		base, rest := engine.Offset(be.Uint64(b)), b[61:size]
		for i := range be.Uint32(b[57:]) {
			n, k := binary.Varint(rest)
			r := rest[k : k+int(n)]
			rest = rest[k+int(n):]
			r = r[1:]
			for range 3 {
				_, k = binary.Varint(r)
				r = r[k:]
			}
			n, k = binary.Varint(r)
			all = append(all, record{base + engine.Offset(i), string(r[k : k+int(n)])})
		}
		b = b[size:]
	}
	return all
}

// bytesOf reads a part's spans.
func bytesOf(t testing.TB, part *ReadPart) []byte {
	t.Helper()
	var b []byte
	for i := range part.Spans {
		s := &part.Spans[i]
		p := make([]byte, s.Len())
		if n, err := s.File().ReadAt(p, s.Off()); n < len(p) {
			t.Fatalf("read %d of %d bytes: %v", n, len(p), err)
		}
		b = append(b, p...)
	}
	return b
}

// readAll reads a partition from offset up to the high watermark.
func (w *world) readAll(p *Partition, from engine.Offset) (all []record) {
	w.t.Helper()
	r := &ReadRequest{MinBytes: 1, MaxBytes: 1 << 20, Replica: Consumer}
	for {
		r.Parts = append(r.Parts[:0], ReadPart{Partition: p, Offset: from, LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1 << 20})
		n := w.set.Read(r)
		part := &r.Parts[0]
		if part.Err != nil {
			w.t.Fatal(part.Err)
		}
		if n == 0 {
			return all
		}
		got := records(w.t, bytesOf(w.t, part))
		r.Release()
		for len(got) > 0 && got[0].offset < from {
			got = got[1:]
		}
		if len(got) == 0 {
			w.t.Fatalf("%d bytes at %d and no record", n, from)
		}
		from = got[len(got)-1].offset + 1
		all = append(all, got...)
	}
}

// append1 appends one batch on a loop and waits for the answer.
func (w *world) append1(p *Partition, acks int16, values ...string) *AppendPart {
	w.t.Helper()
	vs := make([][]byte, len(values))
	for i, v := range values {
		vs[i] = []byte(v)
	}
	return w.appendBytes(p, acks, newBatch(vs...))
}

func (w *world) appendBytes(p *Partition, acks int16, batches []byte) *AppendPart {
	w.t.Helper()
	home, done := w.loops[0], make(chan struct{})
	r := &AppendRequest{Acks: acks, Home: home, Parts: []AppendPart{{Partition: p, Batches: batches}}}
	r.Done = funcTask(func() { close(done) })
	home.Post(funcTask(func() { w.set.Append(r) }))
	within(w.t, "an append's answer", done)
	return &r.Parts[0]
}
