// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// txnBatch is a transactional batch of a producer, or the marker that ends its
// transaction.
func txnBatch(producer int64, sequence *int32, size int, end, commit bool, at int64) []byte {
	h := batch.PlainHeader()
	h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.Transactional = producer, 0, *sequence, true
	var b batch.Builder
	if end {
		h.Control, h.BaseSequence = true, batch.NoSequence
		b.Reset(h)
		b.AppendMarker(at, batch.Marker{Commit: commit})
	} else {
		*sequence++
		b.Reset(h)
		b.Append(at, nil, bytes.Repeat([]byte{'v'}, size))
	}
	out, err := b.Finish()
	if err != nil {
		panic(err)
	}
	return bytes.Clone(out)
}

// epochMs is when the tests' records begin: producers are forgotten a day later.
var epochMs = time.Now().UnixMilli()

// facts is what clients can see of a log, and what it knows of producers.
func facts(l *Log) (map[string]any, error) {
	out := map[string]any{"end": l.End(), "producers": l.Producers(), "stable": l.LastStable(l.End())}
	aborted, err := l.View().Aborted(0, l.End(), nil)
	if err != nil {
		return nil, err
	}
	out["aborted"] = aborted
	for e := engine.Epoch(0); e < 6; e++ {
		epoch, end := l.EpochEnd(e)
		out[fmt.Sprint("epoch ", e)] = [2]any{epoch, end}
	}
	for ts := epochMs - 50; ts < epochMs+300; ts += 50 {
		at, stamp, epoch, err := l.View().OffsetForTime(ts)
		if err != nil {
			return nil, err
		}
		out[fmt.Sprint("time ", ts)] = [3]any{at, stamp, epoch}
	}
	out["content"], err = content(l)
	return out, err
}

// Transactions, producers, epochs and indexes come out of a replay as they were,
// through segments that were synced in place, too, whether the power was cut or
// only the process died, and when replay itself dies on the way.
func TestReplayKeepsWhatTheLogKnew(t *testing.T) {
	for seed := range int64(6) {
		mem := memDir(t)
		r := newRig(t, mem)
		r.change = func(o *Options) { o.JournalBytes = journalBytesMin }
		r.open()
		l := r.create(1, "t", 0)
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		sequences := map[int64]*int32{1: new(int32), 2: new(int32), 3: new(int32)}
		open := map[int64]bool{}
		for i := range 250 {
			producer := int64(rng.IntN(3) + 1)
			end := open[producer] && rng.IntN(3) == 0
			open[producer] = !end
			b := txnBatch(producer, sequences[producer], rng.IntN(1<<(4+rng.IntN(10))), end, rng.IntN(2) == 0, epochMs+int64(i))
			a := engine.Append{Batches: b, Origin: engine.Client, Epoch: engine.Epoch(i / 50)}
			if end {
				a.Origin = engine.Coordinator
			}
			if err := tryWrite(l, &a); err != nil {
				t.Fatal(err)
			}
			if i == 100 && seed%2 == 0 {
				if err := r.d.checkpoints.now(); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.wait(l)
		want, err := facts(l)
		if err != nil {
			t.Fatal(err)
		}
		for outcome := range int64(6) {
			clone := mem.CrashClone(seed*10 + outcome)
			for at := int64(5); outcome%2 == 1 && at < 40; at += 7 {
				var again *vfs.Mem
				s := newRig(t, vfs.Inject(clone, func(op vfs.Op) error {
					if op.N == at {
						again = clone.CrashClone(at)
					}
					return nil
				}))
				s.change = r.change
				s.open()
				s.close(false)
				if again != nil {
					clone = again
				}
			}
			s := newRig(t, clone)
			s.change = r.change
			s.open()
			got, err := facts(s.logs["t-0"])
			if err != nil {
				t.Fatal(err)
			}
			for what, was := range want {
				if !reflect.DeepEqual(got[what], was) && what != "content" {
					t.Errorf("seed %d, outcome %d: %s is %v, was %v", seed, outcome, what, got[what], was)
				}
			}
			if !reflect.DeepEqual(got["content"], want["content"]) {
				t.Errorf("seed %d, outcome %d: other bytes; %+v", seed, outcome, s.started)
			}
			s.close(true)
		}
		r.close(false)
	}
}

// The file of a segment's aborted transactions is made when the first one is
// aborted: the next checkpoint makes its name durable, too.
func TestAbortedTransactionsSurvive(t *testing.T) {
	mem := memDir(t)
	r := newRig(t, mem)
	r.open()
	l := r.create(1, "t", 0)
	sequence := int32(0)
	for _, b := range [][]byte{txnBatch(1, &sequence, 10, false, false, epochMs), txnBatch(1, &sequence, 0, true, false, epochMs)} {
		if err := r.d.checkpoints.now(); err != nil { // the segment's own names are durable
			t.Fatal(err)
		}
		if err := tryWrite(l, &engine.Append{Batches: b, Origin: engine.Coordinator}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.d.checkpoints.now(); err != nil {
		t.Fatal(err)
	}
	for seed := range int64(10) {
		s := newRig(t, mem.CrashClone(seed))
		s.open()
		got, err := s.logs["t-0"].View().Aborted(0, 2, nil)
		if err != nil || len(got) != 1 {
			t.Fatalf("seed %d: aborted %v, %v", seed, got, err)
		}
		s.close(true)
	}
	r.close(false)
}

// A disk that is full when the journal is replayed, at whichever write: the
// start is refused and says so, and one that finds room loses nothing.
func TestFullDiskInReplay(t *testing.T) {
	mem := memDir(t)
	r := newRig(t, mem)
	r.open()
	l := r.create(1, "t", 0)
	for i := range 30 {
		r.append(l, records(2, fmt.Sprintf("%d %s", i, bytes.Repeat([]byte("z"), 700))), 0)
	}
	r.wait(l)
	want := r.content(l)
	refused := 0
	for n := int64(1); ; n++ {
		clone, count := mem.CrashClone(n), int64(0)
		s := newRig(t, vfs.Inject(clone, func(op vfs.Op) error {
			if op.Kind == vfs.OpWrite && !strings.Contains(op.Name, "samsa.journal") { // zeroing gives up by itself
				if count++; count >= n {
					return syscall.ENOSPC
				}
			}
			return nil
		}))
		s.change = func(o *Options) { o.Writer = syncWriter{} }
		err := s.tryOpen()
		switch {
		case err == nil:
			s.close(false)
		case errors.Is(err, syscall.ENOSPC):
			refused++
			if !strings.Contains(err.Error(), "/d") && !strings.Contains(err.Error(), "t-0") {
				t.Errorf("write %d: the refusal does not say where: %v", n, err)
			}
		default:
			t.Fatalf("write %d: %v", n, err)
		}
		s = newRig(t, clone.CrashClone(n))
		s.open()
		if got := s.content(s.logs["t-0"]); !bytes.Equal(got, want) {
			t.Fatalf("write %d: %d bytes, want %d", n, len(got), len(want))
		}
		s.close(true)
		if err == nil {
			break
		}
	}
	if refused < 5 {
		t.Fatalf("refused %d times only", refused)
	}
	r.close(false)
}

// Kafka took the directory after our death, appended, stopped cleanly, and died
// in its next start before it had opened the log: there is no mark, and no
// preallocated index. Its recovery point tells, and what it appended stays.
func TestRecoveryPointOfAnother(t *testing.T) {
	clone, log := fourOfOurs(t)
	put(t, clone, "/d/t-0/00000000000000000000.log", append([]byte(log), theirs(1, 4)...))
	put(t, clone, "/d/recovery-point-offset-checkpoint", []byte("0\n1\nt 0 5\n"))
	s := newRig(t, clone)
	s.open()
	if got := s.content(s.logs["t-0"]); s.logs["t-0"].End() != 5 || !bytes.Contains(got, []byte("theirs")) || !bytes.Contains(got, []byte("ours 3")) {
		t.Fatalf("end %d, holds %q", s.logs["t-0"].End(), got)
	}
	s.close(true)
}

// Kafka appended and stopped cleanly; our start took that as it was, and the log
// was loaded late or not at all, so that S of our checkpoint is still the one from
// before. Then the power goes: what Kafka appended stands above S and in no group
// of ours, and stays.
func TestUnjournaledTailStays(t *testing.T) {
	for _, append := range []bool{false, true} {
		mem := memDir(t)
		r := newRig(t, mem)
		r.open()
		r.append(r.create(1, "t", 0), records(2, "ours"), 0)
		r.close(true)
		log, err := readText(mem, "/d/t-0/00000000000000000000.log")
		if err != nil {
			t.Fatal(err)
		}
		if err := mem.Remove("/d/.kafka_cleanshutdown"); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string]string{
			"/d/t-0/00000000000000000000.log":      log + string(theirs(3, 2)),
			"/d/recovery-point-offset-checkpoint":  "0\n1\nt 0 5\n",
			"/d/t-0/00000000000000000005.snapshot": "",
			"/d/.kafka_cleanshutdown":              "another's",
		} {
			put(t, mem, name, []byte(b))
		}
		d, err := Open(r.options())
		if err != nil || !d.foreign {
			t.Fatalf("foreign %v, %v", d != nil && d.foreign, err)
		}
		if err := startDir(d); err != nil {
			t.Fatal(err)
		}
		end := engine.Offset(5)
		if append {
			l, err := d.Load(d.Found()[0], testConfig())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tryAppend(l, records(1, "ours again"), 1); err != nil {
				t.Fatal(err)
			}
			if end++; waitDurable(l, end) != nil {
				t.Fatalf("durable end %d", l.DurableEnd())
			}
		}
		for seed := range int64(5) {
			s := newRig(t, mem.CrashClone(seed))
			s.open()
			if got := s.logs["t-0"]; got.End() != end || !bytes.Contains(s.content(got), []byte("theirs")) {
				t.Fatalf("append %v, seed %d: ends at %d, %+v", append, seed, got.End(), s.started)
			}
			s.close(true)
		}
		if err := d.Close(false); err != nil {
			t.Fatal(err)
		}
	}
}
