// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/engine/journal"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// journaled is a directory after a power cut whose journal holds n groups of
// one batch for t-0, which no segment holds.
func journaled(t *testing.T, n int) *vfs.Mem {
	t.Helper()
	mem := memDir(t)
	r := newRig(t, mem)
	r.open()
	l := r.create(1, "t", 0)
	for i := range n {
		r.append(l, records(1, fmt.Sprint("record ", i)), 0)
		r.wait(l)
	}
	clone := mem.CrashClone(3)
	r.close(false)
	return clone
}

// poke changes a byte of the group with that sequence.
func poke(t *testing.T, mem *vfs.Mem, sequence uint64) {
	t.Helper()
	f, err := mem.OpenFile("/d/"+journal.FileName(0), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, testJournal)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(b); at += journal.Block {
		if h, err := journal.DecodeHeader(b[at:]); err == nil && h.Sequence == sequence {
			if err := f.WriteDurableAt([]byte{b[at+100] ^ 4}, int64(at+100)); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no group %d", sequence)
}

// Damage is never silent: the directory does not start, names log and offset,
// goes on without them only when told to, and says what it left out.
func TestDamageIsNamed(t *testing.T) {
	mem := journaled(t, 8)
	poke(t, mem, 5) // group 1 is the creation, 2 the first record
	s := newRig(t, mem)
	for range 2 { // refusing changes nothing
		err := s.tryOpen()
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "t-0 below offset 4") {
			t.Fatalf("open says %v", err)
		}
	}
	var out bytes.Buffer
	if err := Recover(s.options(), false, &out); !errors.Is(err, ErrDamaged) {
		t.Fatalf("recover says %v", err)
	}
	if err := Recover(s.options(), true, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "LOST in t-0: offsets 3 to 7") {
		t.Fatalf("recover printed\n%s", out.String())
	}
	s.open()
	if !s.d.Clean() || s.logs["t-0"].End() != 3 {
		t.Fatalf("after recovery: clean %v, end %d", s.d.Clean(), s.logs["t-0"].End())
	}
	s.append(s.logs["t-0"], records(1, "after"), 1)
	s.close(true)
}

// The last group may be torn: what it held was never acknowledged.
func TestTornGroupIsNoDamage(t *testing.T) {
	mem := journaled(t, 8)
	poke(t, mem, 9)
	s := newRig(t, mem)
	s.open()
	if !s.started.Torn || s.logs["t-0"].End() < 7 || len(s.dropped) != 0 {
		t.Fatalf("%+v, end %d, dropped %+v", s.started, s.logs["t-0"].End(), s.dropped)
	}
	s.close(true)
}

// Recover leaves a directory that Kafka may take: clean, segments whole.
func TestRecover(t *testing.T) {
	mem := journaled(t, 20)
	s := newRig(t, mem)
	var out bytes.Buffer
	if err := Recover(s.options(), false, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "log end offset 20") {
		t.Fatalf("recover printed\n%s", out.String())
	}
	after := mem.CrashClone(7)
	if text, err := readText(after, "/d/recovery-point-offset-checkpoint"); err != nil || text != "0\n1\nt 0 20\n" {
		t.Fatalf("recovery point %q, %v", text, err)
	}
	if _, err := after.Stat("/d/.kafka_cleanshutdown"); err != nil {
		t.Fatal(err)
	}
	if err := Recover(s.options(), false, &out); err != nil || !strings.Contains(out.String(), "nothing to recover") {
		t.Fatalf("again: %v\n%s", err, out.String())
	}
}

// Another broker's mark discards the journal, and names what that broker does
// not have. Ours does not count twice.
func TestForeignMark(t *testing.T) {
	mem := journaled(t, 8)
	for _, name := range []string{"/d/t-0/00000000000000000000.log", "/d/.kafka_cleanshutdown"} {
		f, err := mem.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(0); err != nil { // Kafka's recovery kept none of them
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := newRig(t, mem)
	s.open()
	if !s.d.Clean() || s.logs["t-0"].End() != 0 || len(s.dropped) != 1 {
		t.Fatalf("clean %v, end %d, dropped %+v", s.d.Clean(), s.logs["t-0"].End(), s.dropped)
	}
	if x := s.dropped[0]; x.Log != "t-0" || x.From != 0 || x.To < 7 {
		t.Fatalf("dropped %+v", x)
	}
	s.close(true)
}

// Kafka opened the directory and was killed: its preallocated index says so.
// What it appended stays, what the journal would put in its place is named.
func TestTouchedByKafka(t *testing.T) {
	clone, log := fourOfOurs(t)
	one := len(log) / 4
	put(t, clone, "/d/t-0/00000000000000000000.log", append([]byte(log[:2*one]), theirs(1, 2)...))
	put(t, clone, "/d/t-0/00000000000000000000.index", make([]byte, 10<<20))
	s := newRig(t, clone)
	s.open()
	got := s.content(s.logs["t-0"])
	if s.logs["t-0"].End() != 4 || !bytes.Contains(got, []byte("theirs")) || !bytes.Contains(got, []byte("ours 3")) {
		t.Fatalf("end %d, holds %q", s.logs["t-0"].End(), got)
	}
	if len(s.dropped) != 1 || s.dropped[0].From != 2 || s.dropped[0].To != 3 {
		t.Fatalf("dropped %+v", s.dropped)
	}
	s.close(true)
}

// fourOfOurs is a directory after a power cut in which t-0 has four batches of
// one record, and what its segment held before.
func fourOfOurs(t *testing.T) (clone *vfs.Mem, log string) {
	t.Helper()
	mem := memDir(t)
	r := newRig(t, mem)
	r.open()
	l := r.create(1, "t", 0)
	for i := range 4 {
		r.append(l, records(1, fmt.Sprint("ours ", i)), 0)
	}
	r.wait(l)
	log, err := readText(mem, "/d/t-0/00000000000000000000.log")
	if err != nil {
		t.Fatal(err)
	}
	clone = mem.CrashClone(1)
	r.close(false)
	return clone, log
}

// theirs is a batch of n records that another broker appended at an offset.
func theirs(n int, at byte) []byte {
	b := bytes.Clone(records(n, "theirs"))
	b[7] = at
	return b
}

func put(t *testing.T, mem *vfs.Mem, name string, b []byte) {
	t.Helper()
	f, err := mem.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WriteDurableAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Whoever does not belong to the directory is refused, with the reason.
func TestRefusals(t *testing.T) {
	mem := memDir(t)
	r := newRig(t, mem)
	r.open()
	if _, err := Open(r.options()); !errors.Is(err, ErrLocked) {
		t.Errorf("a second owner: %v", err)
	}
	r.close(true)
	for _, c := range []struct {
		change func(*Options)
		want   error
	}{
		{func(o *Options) { o.BrokerID = 2 }, ErrMeta},
		{func(o *Options) { o.ClusterID = "other" }, ErrMeta},
		{func(o *Options) { o.StoreID = [16]byte{6} }, ErrStore},
	} {
		r.change = c.change
		if _, err := Open(r.options()); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
	r.change = nil
	put(t, mem, "/d/meta.properties", []byte("version=1\nnode.id=1\ncluster.id=test\n"))
	if _, err := Open(r.options()); !errors.Is(err, ErrMeta) {
		t.Errorf("a KRaft directory: %v", err)
	}
	put(t, mem, "/d/meta.properties", []byte("#x\nversion=0\nbroker.id=1\nfuture.key=kept\ncluster.id=test\n"))
	put(t, mem, "/d/recovery-point-offset-checkpoint", []byte("0\n7\nnothing"))
	r.open()
	r.close(true)
	if text, err := readText(mem, "/d/meta.properties"); err != nil || !strings.Contains(text, "future.key=kept") {
		t.Errorf("meta.properties is %q, %v", text, err)
	}
}

// A metadata store that is older than the one which knew the logs is refused,
// after a clean stop and after a power cut, and nothing is touched: what it does
// not know would be deleted. The newest one, put back, goes on.
func TestOldStoreIsRefused(t *testing.T) {
	for _, clean := range []bool{true, false} {
		mem := memDir(t)
		version := int64(3)
		r := newRig(t, mem)
		r.change = func(o *Options) { o.StoreVersion = func() int64 { return version } }
		r.open()
		version = 7 // the store learns of a topic, then its log is made
		l := r.create(1, "t", 0)
		r.append(l, records(3, "kept"), 0)
		r.wait(l)
		version = 9
		disk := mem
		if !clean {
			disk = mem.CrashClone(3)
		}
		r.close(clean)
		newest := map[bool]int64{true: 9, false: 7}[clean] // that anything here speaks of
		s := newRig(t, disk)
		s.change = r.change
		for _, version = range []int64{0, 3, newest - 1} {
			if err := s.tryOpen(); !errors.Is(err, ErrOldStore) || !strings.Contains(err.Error(), fmt.Sprintf("version %d of it, this is version %d", newest, version)) {
				t.Fatalf("clean %v, version %d: %v", clean, version, err)
			}
		}
		version = newest
		s.open()
		if got := s.logs["t-0"].End(); got != 3 || !s.d.Found()[0].Known {
			t.Fatalf("clean %v: ends at %d", clean, got)
		}
		s.close(true)
	}
}
