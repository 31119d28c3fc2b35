// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"encoding/binary"
	"hash/crc32"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// idempotent is newBatch from a producer with an id, its first.
func idempotent(id int64) []byte {
	b := newBatch([]byte("once"))
	be := binary.BigEndian
	be.PutUint64(b[43:], uint64(id))
	be.PutUint16(b[51:], 0)
	be.PutUint32(b[53:], 0)
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// named counts files of a partition whose names end in suffix.
func (w *world) named(p *Partition, suffix string) (n int) {
	w.t.Helper()
	entries, err := w.fs.ReadDir(filepath.Join(p.dir.Path(), p.ID().String()))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			n++
		}
	}
	return n
}

// Ticks forget producers that have been silent for long, at their own interval.
func TestTickForgetsProducers(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	if part := w.appendBytes(p, AcksAll, idempotent(7)); part.Err != nil { // stamped 2023
		t.Fatal(part.Err)
	}
	known := func() (n int) {
		done := make(chan struct{})
		p.Enter(&Entry{Run: func(*Turn, *Entry) { n = len(p.log.Load().Producers()); close(done) }})
		within(t, "a look at the producers", done)
		return n
	}
	now := time.Now()
	w.set.nextProducers.Store(now.Add(time.Minute).UnixMilli())
	w.set.Tick(now)
	eventually(w, "the tick", func() bool { return p.tickOp.due.Load() == 0 })
	if known() != 1 {
		t.Fatal("forgotten before its time")
	}
	w.set.Tick(now.Add(time.Minute))
	eventually(w, "the tick", func() bool { return p.tickOp.due.Load() == 0 })
	if n := known(); n != 0 {
		t.Fatalf("%d producers are remembered", n)
	}
}

// Files of deleted segments go when file.delete.delay.ms is over, whatever the
// retention interval, and at the next start.
func TestTickReaps(t *testing.T) {
	w := newWorld(t, worldOptions{})
	c := *keepAll()
	c.SegmentBytes, c.RetentionBytes, c.DeleteDelayMs = 256, 256, 60_000
	p := w.leadWith(0, 5, &c)
	w.fill(12, p)
	if err := p.log.Load().Sync(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	deleted := func() bool {
		w.set.nextExpire.Store(0)
		w.set.Tick(now)
		return w.named(p, ".log.deleted") > 0
	}
	eventually(w, "a deleted segment", deleted)
	w.set.nextExpire.Store(1 << 62)
	later := c
	later.DeleteDelayMs, later.RetentionBytes = 0, -1
	w.set.Tick(now.Add(time.Second))
	settled(w)
	if w.named(p, ".log.deleted") == 0 {
		t.Fatal("removed before its delay was over")
	}
	w.set.Configure("orders", &later, 1)
	eventually(w, "the end of deleted files", func() bool {
		w.set.Tick(time.Now())
		return w.named(p, ".deleted") == 0
	})
	w.set.Configure("orders", &c, 1)
	w.fill(12, p)
	eventually(w, "another deleted segment", deleted)
	w.stop(true)
	w = newWorld(t, worldOptions{fs: w.fs})
	p = w.leadWith(0, 6, &later)
	if w.named(p, ".deleted") == 0 {
		t.Fatal("nothing is left from before")
	}
	w.set.Tick(time.Now())
	eventually(w, "the end of what was left", func() bool { return w.named(p, ".deleted") == 0 })
}

// Ticks close descriptors nobody used, and never one through which bytes were
// written that no fdatasync on it covered.
func TestTickClosesIdle(t *testing.T) {
	closed := make(chan string, 1000)
	fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpClose && strings.HasSuffix(op.Name, ".log") {
			closed <- op.Name
		}
		return nil
	})
	w := newWorld(t, worldOptions{fs: fs})
	p := w.lead(0)
	w.fill(3, p)
	w.set.nextExpire.Store(1 << 62)
	w.set.nextProducers.Store(1 << 62)
	now := time.Now()
	for i := range 5 {
		w.set.Tick(now.Add(time.Duration(i) * time.Minute))
	}
	if p.log.Load().SyncedEnd() < 3 && len(closed) != 0 {
		t.Fatalf("closed %s with bytes that were not synced", <-closed)
	}
	if err := p.log.Load().Sync(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		w.set.Tick(now.Add(time.Duration(10+i) * time.Minute))
	}
	if len(closed) == 0 {
		t.Fatal("nothing was closed")
	}
	if part := w.append1(p, AcksAll, "open again"); part.Err != nil || part.Base != engine.Offset(3) {
		t.Fatalf("offset %d, %v", part.Base, part.Err)
	}
}
