// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/segment"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// script runs the commands of testdata. See the files there.
type script struct {
	t    *testing.T
	mem  *vfs.Mem
	o    Options
	l    *Log
	now  time.Time
	full int // bytes until the disk is full; -1: never
	out  strings.Builder
}

// TestScripts runs testdata/*: each file tells a story of one log.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.HasPrefix(path, filepath.Join("testdata", "fuzz")) {
			return // a corpus
		}
		s := &script{t: t, mem: testFS(t), now: testClock, full: -1}
		s.o = testOptions(vfs.Inject(s.mem, s.disk))
		s.o.Config.IndexIntervalBytes = 100
		s.o.Now = func() time.Time { return s.now }
		s.o.Events = &Events{
			Recovered: func(_ string, r Recovery) {
				fmt.Fprintf(&s.out, "recovered %d segments, %d bytes cut, %d removed\n", r.Segments, r.BytesTruncated, r.Removed)
			},
			Expired: func(_ string, base Offset, why string) { fmt.Fprintf(&s.out, "expired %d by %s\n", base, why) },
			Rebuilt: func(_, file, _ string) { fmt.Fprintf(&s.out, "rebuilt %s\n", file) },
			Failed:  func(_ string, err error) { fmt.Fprintf(&s.out, "fenced\n") },
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			s.out.Reset()
			s.run(d)
			return s.out.String()
		})
	})
}

// disk lets writes through until it is full.
func (s *script) disk(op vfs.Op) error {
	if s.full < 0 || op.Kind != vfs.OpWrite {
		return nil
	}
	if s.full >= op.Len {
		s.full -= op.Len
		return nil
	}
	n := s.full
	s.full = 0
	return &vfs.ShortWrite{Written: n, Err: syscall.ENOSPC}
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *script) try(err error) {
	if err != nil {
		s.say("error: %v", sentinel(err))
	}
}

// sentinel shortens an error to what callers ask for.
func sentinel(err error) error {
	for _, known := range []error{ErrOffsetOutOfRange, ErrOutOfOrderSequence, ErrInvalidProducerEpoch, ErrCoordinatorFenced,
		ErrInvalidTxnState, ErrTooLarge, ErrCorrupt, ErrNoSpace, ErrIO, ErrClosed} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

func arg[T int | int64 | Offset](s *script, d *datadriven.TestData, key string, missing T) T {
	if !d.HasArg(key) {
		return missing
	}
	var v int64
	d.ScanArgs(s.t, key, &v)
	return T(v)
}

func (s *script) run(d *datadriven.TestData) {
	switch d.Cmd {
	case "config":
		c := *s.o.Config
		c.SegmentBytes = int32(arg(s, d, "segment-bytes", int(c.SegmentBytes)))
		c.SegmentMs = arg(s, d, "segment-ms", c.SegmentMs)
		c.RetentionBytes = arg(s, d, "retention-bytes", c.RetentionBytes)
		c.RetentionMs = arg(s, d, "retention-ms", c.RetentionMs)
		c.IndexBytes = int32(arg(s, d, "index-bytes", int(c.IndexBytes)))
		c.Delete = arg(s, d, "delete", 1) == 1
		s.o.Config = &c
		if s.l != nil {
			s.l.SetConfig(&c)
		}
	case "open":
		s.o.Clean = d.HasArg("clean")
		s.o.RecoveryPoint = arg(s, d, "point", Offset(0))
		s.o.LogStart = arg(s, d, "start", Offset(0))
		l, err := Open(testDir, s.o)
		if s.try(err); err == nil {
			s.l = l
			s.state()
		}
	case "close":
		s.try(s.l.Close(true))
	case "crash": // the process dies, the disk does not
		s.try(s.l.Close(false))
	case "disk-full-after":
		s.full = arg(s, d, "bytes", -1)
	case "clock":
		s.now = testClock.Add(time.Duration(arg(s, d, "ms", 0)) * time.Millisecond)
	case "append":
		s.appendAll(d)
	case "ls":
		s.list()
	case "damage": // file=… at=… : flip a bit; cut=…: shorten
		s.damage(d)
	default:
		s.runMore(d)
	}
}

func (s *script) runMore(d *datadriven.TestData) {
	switch d.Cmd {
	case "roll":
		s.try(s.l.Roll())
	case "sync":
		s.try(s.l.Sync())
		s.state()
	case "truncate":
		s.try(s.l.TruncateTo(arg(s, d, "to", Offset(0))))
		s.state()
	case "trim":
		s.try(s.l.TrimTo(arg(s, d, "to", Offset(0))))
		s.state()
	case "reset":
		s.try(s.l.Reset(arg(s, d, "to", Offset(0))))
		s.state()
	case "expire":
		n, err := s.l.Expire(s.now, arg(s, d, "hw", s.l.End()))
		s.try(err)
		s.say("%d segments", n)
		s.state()
	case "reap":
		s.try(s.l.Reap(s.now))
	case "epoch":
		s.try(s.l.BeginEpoch(Epoch(arg(s, d, "is", 0))))
	case "epoch-end":
		e, end := s.l.EpochEnd(Epoch(arg(s, d, "of", 0)))
		s.say("epoch %d ends at %d", e, end)
	case "time":
		at, ts, epoch, err := s.l.View().OffsetForTime(arg(s, d, "of", int64(0)))
		s.try(err)
		s.say("offset %d timestamp %d epoch %d", at, ts, epoch)
	case "max-time":
		at, ts, epoch, err := s.l.View().MaxTimestamp()
		s.try(err)
		s.say("offset %d timestamp %d epoch %d", at, ts, epoch)
	case "stable":
		s.say("%d", s.l.LastStable(arg(s, d, "hw", s.l.End())))
	case "aborted":
		txns, err := s.l.View().Aborted(arg(s, d, "from", Offset(0)), arg(s, d, "to", s.l.End()), nil)
		s.try(err)
		for _, x := range txns {
			s.say("producer %d from %d", x.ProducerID, x.FirstOffset)
		}
	case "read":
		s.read(d)
	case "producers":
		for _, e := range s.l.Producers() {
			s.say("%d epoch %d last sequence %d transaction at %d", e.ID, e.Epoch, e.LastSequence(), e.TxnFirstOffset)
		}
	default:
		s.t.Fatalf("unknown command %s", d.Cmd)
	}
}

func (s *script) state() {
	s.say("%d to %d, synced to %d", s.l.Start(), s.l.End(), s.l.SyncedEnd())
}

// appendAll stages one append a line of input and writes them together. A line
// has n=records size=bytes ts=ms pid= epoch= seq= txn, or commit/abort with pid
// epoch coordinator; replica at=offset keeps its offset.
func (s *script) appendAll(d *datadriven.TestData) {
	var all []*Append
	for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		f := map[string]int64{"n": 1, "size": 20, "ts": 1000, "pid": -1, "epoch": 0, "seq": -1}
		words := map[string]bool{}
		for _, word := range strings.Fields(line) {
			key, value, ok := strings.Cut(word, "=")
			if !ok {
				words[word] = true
				continue
			}
			var v int64
			fmt.Sscan(value, &v)
			f[key] = v
		}
		a := s.build(f, words)
		if err := s.l.Stage(a); err != nil {
			s.say("stage: %v", sentinel(err))
		}
		all = append(all, a)
	}
	_, err := s.l.Write()
	for _, a := range all {
		switch {
		case a.Err != nil:
			s.say("failed: %v", sentinel(a.Err))
		case a.Duplicate:
			s.say("duplicate of %d to %d", a.Base, a.Last)
		default:
			s.say("%d to %d", a.Base, a.Last)
		}
	}
	s.try(err)
}

func (s *script) build(f map[string]int64, words map[string]bool) *Append {
	a := &Append{Epoch: max(0, s.l.LastEpoch())}
	h := batch.PlainHeader()
	if f["pid"] >= 0 {
		h.ProducerID, h.ProducerEpoch, h.BaseSequence = f["pid"], int16(f["epoch"]), int32(f["seq"])
		h.Transactional = words["txn"]
	}
	if words["replica"] {
		a.Origin, h.BaseOffset, h.LeaderEpoch = Replica, f["at"], int32(f["leader"])
	}
	if words["commit"] || words["abort"] {
		a.Origin = Coordinator
		h.Transactional, h.Control = true, true
		key := []byte{0, 0, 0, 0}
		if words["commit"] {
			key[3] = 1
		}
		var b batch.Builder
		b.Reset(h)
		b.Append(f["ts"], key, binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(f["coordinator"])))
		out, err := b.Finish()
		if err != nil {
			s.t.Fatal(err)
		}
		a.Batches = append([]byte(nil), out...)
		return a
	}
	a.Batches = batchOf(s.t, h, int(f["n"]), int(f["size"]), f["ts"])
	return a
}

func (s *script) read(d *datadriven.TestData) {
	from := arg(s, d, "from", Offset(0))
	spans, err := s.l.View().Read(nil, from, arg(s, d, "limit", s.l.End()), arg(s, d, "max", 1<<20), !d.HasArg("none"))
	s.try(err)
	b := spanBytes(s.t, spans)
	for len(b) > 0 {
		one, rest, err := batch.Next(b)
		if err != nil {
			s.say("%d bytes of a batch", len(b))
			return
		}
		s.say("%d to %d epoch %d", one.BaseOffset(), one.LastOffset(), one.LeaderEpoch())
		b = rest
	}
}

// listFiles prints the directory, and what small files say.
func (s *script) list() {
	entries, err := s.mem.ReadDir(testDir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		b := content(s.t, s.mem, e.Name())
		_, suffix, _ := segment.ParseName(e.Name())
		switch {
		case e.Name() == epochFile:
			s.say("%s %q", e.Name(), b)
		case suffix == segment.IndexSuffix:
			var text []string
			for ; len(b) >= 8; b = b[8:] {
				text = append(text, fmt.Sprintf("%d@%d", be32(b), be32(b[4:])))
			}
			s.say("%s [%s]", e.Name(), strings.Join(text, " "))
		case suffix == segment.TimeIndexSuffix:
			var text []string
			for ; len(b) >= 12; b = b[12:] {
				text = append(text, fmt.Sprintf("%d@%d", be64(b), be32(b[8:])))
			}
			s.say("%s [%s]", e.Name(), strings.Join(text, " "))
		case suffix == segment.SnapshotSuffix:
			list, err := producer.DecodeSnapshot(b)
			s.try(err)
			s.say("%s %d producers", e.Name(), len(list))
		default:
			s.say("%s %d", e.Name(), len(b))
		}
	}
}

func (s *script) damage(d *datadriven.TestData) {
	var name string
	d.ScanArgs(s.t, "file", &name)
	b := content(s.t, s.mem, name)
	if d.HasArg("gone") {
		if err := s.mem.Remove(testDir + "/" + name); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	if at := arg(s, d, "at", -1); at >= 0 {
		b[at] ^= 0x10
	}
	if d.HasArg("rename") {
		var to string
		d.ScanArgs(s.t, "rename", &to)
		if err := s.mem.Rename(testDir+"/"+name, testDir+"/"+to); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	setContent(s.t, s.mem, name, b[:len(b)-arg(s, d, "cut", 0)])
}
