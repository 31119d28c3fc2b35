// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"runtime"
	"testing"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// TestNoAllocations: in steady state neither an append of an idempotent
// producer nor a read at the tail allocates.
func TestNoAllocations(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(vfs.OS())
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(false)
	h := batch.PlainHeader()
	h.ProducerID, h.ProducerEpoch = 9, 0
	raw := batch.Batch(batchOf(t, h, 3, 100, 1000))
	var all [4]Append
	var bufs [4]batch.Batch
	for i := range bufs {
		bufs[i] = append(batch.Batch(nil), raw...)
	}
	sequence := int32(0)
	appendAll := func() {
		for i := range all {
			b := bufs[i]
			b[53], b[54], b[55], b[56] = byte(sequence>>24), byte(sequence>>16), byte(sequence>>8), byte(sequence)
			sequence += 3
			all[i] = Append{Batches: b}
			if err := l.Stage(&all[i]); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := l.Write(); n != len(all) || err != nil {
			t.Fatal(n, err)
		}
	}
	for range 100 {
		appendAll()
	}
	if n := testing.AllocsPerRun(500, appendAll); n != 0 {
		t.Errorf("Stage and Write allocate %v times", n)
	}
	spans := make([]Span, 0, 4)
	read := func() {
		var err error
		spans, err = l.View().Read(spans[:0], l.End()-24, l.End()-12, 1<<20, true)
		if err != nil || len(spans) != 1 || spans[0].Len() != 4*len(raw) {
			t.Fatal(spans, err)
		}
		spans[0].Release()
	}
	if n := testing.AllocsPerRun(500, read); n != 0 {
		t.Errorf("a read at the tail allocates %v times", n)
	}
	middle := func() {
		var err error
		if spans, err = l.View().Read(spans[:0], 300, l.End(), 4096, true); err != nil || len(spans) != 1 {
			t.Fatal(spans, err)
		}
		spans[0].Release()
	}
	middle()
	if n := testing.AllocsPerRun(500, middle); n != 0 {
		t.Errorf("a repeated read in the middle allocates %v times", n)
	}
	// Once the first entries of the index stand in its file only, the beginning,
	// which lies below the first of them, is found without opening the file again.
	for l.Size() < 4<<20 {
		appendAll()
	}
	for _, at := range []Offset{0, 300} {
		from := func() {
			var err error
			if spans, err = l.View().Read(spans[:0], at, l.End(), 4096, true); err != nil || len(spans) != 1 {
				t.Fatal(spans, err)
			}
			spans[0].Release()
		}
		from()
		if n := testing.AllocsPerRun(500, from); n != 0 {
			t.Errorf("a repeated read at %d of a log with spilled indexes allocates %v times", at, n)
		}
	}
}

// TestIdleLogIsSmall: a log that was opened after a clean stop costs little
// memory, reads no segment and holds no descriptor.
func TestIdleLogIsSmall(t *testing.T) {
	mem := testFS(t)
	o := testOptions(mem)
	l := open(t, o)
	for i := range 50 {
		put(t, l, plain(t, 3, int64(i)))
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	o.Clean, o.RecoveryPoint = true, 150
	o.FS = vfs.Inject(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpRead && len(op.Name) > 4 && op.Name[len(op.Name)-4:] == ".log" {
			t.Errorf("a clean start reads %v", op)
		}
		if op.Kind.Changes() {
			t.Errorf("a clean start changes %v", op)
		}
		return nil
	})
	o.Descriptors = NewDescriptors(10)
	const count = 1000
	logs := make([]*Log, count)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range logs {
		logs[i] = open(t, o)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / count
	t.Logf("%d bytes an idle log", each)
	if each > 20<<10 {
		t.Errorf("%d bytes an idle log", each)
	}
	if o.Descriptors.Open() != 0 {
		t.Errorf("%d descriptors", o.Descriptors.Open())
	}
	if logs[0].End() != 150 {
		t.Fatal(logs[0].End())
	}
	runtime.KeepAlive(logs)
}
