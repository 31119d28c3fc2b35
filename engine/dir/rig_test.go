// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

const testJournal = 256 << 10

// tester is what *testing.T and *rapid.T share.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// rig opens and reopens one directory.
type rig struct {
	t    tester
	fs   vfs.FS
	d    *Dir
	logs map[string]*Log

	mu      sync.Mutex
	dropped []Drop
	started Started
	fenced  error
	// recovered is the sum over the logs of the last open.
	recovered engine.Recovery
	change    func(*Options)
	// segment is segment.bytes; 0: testConfig's.
	segment int32
}

func newRig(t tester, fsys vfs.FS) *rig { return &rig{t: t, fs: fsys, logs: map[string]*Log{}} }

// memDir is a file system with a durable, empty directory.
func memDir(t testing.TB) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	if err := m.Mkdir("/d"); err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	return m
}

func (r *rig) options() Options {
	o := Options{
		FS: r.fs, Path: "/d", BrokerID: 1, ClusterID: "test", JournalBytes: testJournal, StoreID: [16]byte{5},
		Log: &engine.Events{Recovered: func(_ string, one engine.Recovery) {
			r.mu.Lock()
			r.recovered.BytesRead += one.BytesRead
			r.recovered.BytesAbove += one.BytesAbove
			r.mu.Unlock()
		}},
		Events: &Events{
			Dropped: func(_ string, d Drop) { r.mu.Lock(); r.dropped = append(r.dropped, d); r.mu.Unlock() },
			Started: func(_ string, s Started) { r.mu.Lock(); r.started = s; r.mu.Unlock() },
			Fenced:  func(_ string, err error) { r.mu.Lock(); r.fenced = err; r.mu.Unlock() },
		},
	}
	if r.change != nil {
		r.change(&o)
	}
	return o
}

// tryOpen opens the directory, loads every log and starts.
func (r *rig) tryOpen() (err error) {
	r.logs, r.dropped, r.recovered, r.started = map[string]*Log{}, nil, engine.Recovery{}, Started{}
	d, err := Open(r.options())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = d.Close(false)
		}
	}()
	var logs []*Log
	for _, f := range d.Found() {
		l, err := d.Load(f, r.config())
		if err != nil {
			return err
		}
		r.logs[f.Name] = l
		logs = append(logs, l)
	}
	if err := startDir(d, logs...); err != nil {
		return err
	}
	r.d = d
	return nil
}

// startDir replays and starts.
func startDir(d *Dir, logs ...*Log) error {
	if err := d.Replay(logs); err != nil {
		return err
	}
	return d.Start()
}

func (r *rig) open() {
	r.t.Helper()
	if err := r.tryOpen(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) close(clean bool) {
	r.t.Helper()
	if err := r.d.Close(clean); err != nil {
		r.t.Fatal(err)
	}
	r.d = nil
}

func (r *rig) create(id byte, topic string, partition int32) *Log {
	r.t.Helper()
	l, err := r.d.Create([16]byte{id}, topic, partition, r.config())
	if err != nil {
		r.t.Fatal(err)
	}
	r.logs[l.Name()] = l
	return l
}

func (r *rig) config() *engine.Config {
	c := testConfig()
	c.SegmentBytes = cmp.Or(r.segment, c.SegmentBytes)
	return c
}

func testConfig() *engine.Config {
	c := *engine.DefaultConfig()
	c.SegmentBytes = 16 << 10
	return &c
}

// records is a batch of n records whose values begin with text.
func records(n int, text string) []byte {
	var b batch.Builder
	b.Reset(batch.PlainHeader())
	for i := range n {
		b.Append(1_700_000_000_000, nil, fmt.Appendf(nil, "%s %d", text, i))
	}
	out, err := b.Finish()
	if err != nil {
		panic(err)
	}
	return bytes.Clone(out)
}

// tryAppend stages and writes one batch.
func tryAppend(l *Log, b []byte, epoch engine.Epoch) (engine.Append, error) {
	a := engine.Append{Batches: b, Origin: engine.Client, Epoch: epoch}
	err := tryWrite(l, &a)
	return a, err
}

// tryWrite stages and writes one append.
func tryWrite(l *Log, a *engine.Append) error {
	if err := l.Stage(a); err != nil {
		return err
	}
	if _, err := l.Write(); err != nil {
		return err
	}
	return a.Err
}

func (r *rig) append(l *Log, b []byte, epoch engine.Epoch) engine.Append {
	r.t.Helper()
	a, err := tryAppend(l, b, epoch)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// wait waits until everything of the log is durable.
func (r *rig) wait(l *Log) {
	r.t.Helper()
	if err := waitDurable(l, l.End()); err != nil {
		r.t.Fatal(err)
	}
}

func waitDurable(l *Log, end engine.Offset) error {
	for deadline := time.Now().Add(10 * time.Second); l.DurableEnd() < end; {
		if err := l.Home().Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("durable end stays at %d of %d", l.DurableEnd(), end)
		}
		if j := l.Home().journal.Load(); j != nil {
			if err := j.Wait(&l.tail); err != nil {
				return err
			}
		}
	}
	return nil
}

// content is every byte of the log from its start.
func content(l *Log) ([]byte, error) {
	var out []byte
	at := l.Start()
	for at < l.End() {
		spans, err := l.View().Read(nil, at, l.End(), 1<<20, true)
		if err != nil {
			return nil, err
		}
		if len(spans) == 0 {
			return out, nil // a hole: whoever calls knows what must be there
		}
		for i := range spans {
			s := &spans[i]
			b := make([]byte, s.Len())
			if _, err := s.File().ReadAt(b, s.Off()); err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			s.Release()
			for len(b) > 0 {
				one, rest, err := batch.Next(b)
				if err != nil {
					break // the last one may be cut
				}
				if err := one.Verify(); err != nil {
					return nil, err
				}
				if engine.Offset(one.BaseOffset()) >= at || engine.Offset(one.LastOffset()) >= at {
					out = append(out, one...)
					at = engine.Offset(one.LastOffset() + 1)
				}
				b = rest
			}
		}
	}
	return out, nil
}

func (r *rig) content(l *Log) []byte {
	r.t.Helper()
	b, err := content(l)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}
