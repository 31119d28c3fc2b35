// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"testing"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/journal"
	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/netpoll"
)

// loopJournal is a journal in a temporary directory, written through a loop.
func loopJournal(t *testing.T) (*journal.Journal, netpoll.Loop) {
	t.Helper()
	l, _, err := netpoll.Open(netpoll.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- l.Run() }()
	dir := t.TempDir()
	const fileBytes = 1 << 20
	if err := journal.Prepare(vfs.OS(), dir, fileBytes); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(journal.Options{FS: vfs.OS(), Dir: dir, Writer: newLoopWriter(l), ID: journal.ID{1}, FileBytes: fileBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		_ = l.Close()
		<-ended
	})
	return j, l
}

// header is a record batch as far as the journal looks at one.
func header(base int64) batch.Batch {
	b := make([]byte, batch.HeaderSize)
	binary.BigEndian.PutUint64(b, uint64(base))
	binary.BigEndian.PutUint32(b[8:], batch.HeaderSize-batch.HeadSize)
	b[16] = 2
	return b
}

// What one iteration of the loop appends to several partitions is one group,
// and an idle broker acknowledges after one device write.
func TestPartitionsOfOneTurnShareAGroup(t *testing.T) {
	j, l := loopJournal(t)
	tails := make([]*journal.Tail, 5)
	for i := range tails {
		tails[i] = &journal.Tail{Log: journal.LogID{Creation: uint64(i + 1)}}
	}
	for round := range int64(50) {
		_, before, _ := j.Durable()
		placed := make(chan struct{})
		l.Post(&loopCall{func() {
			for _, tail := range tails { // each as the turn of its own partition
				j.Place(tail, header(round), round)
				j.Kick()
			}
			close(placed)
		}})
		<-placed
		for _, tail := range tails {
			if err := j.Wait(tail); err != nil {
				t.Fatal(err)
			}
		}
		if _, after, _ := j.Durable(); after != before+1 {
			t.Fatalf("round %d: %d device writes for one iteration", round, after-before)
		}
	}
}

// A single append, from the loop or from elsewhere, is one write at once.
func TestIdleJournalWritesOnce(t *testing.T) {
	j, l := loopJournal(t)
	tail := &journal.Tail{}
	for n := range int64(20) {
		_, before, _ := j.Durable()
		placed := make(chan struct{})
		place := &loopCall{func() { j.Place(tail, header(n), n); j.Kick(); close(placed) }}
		if n%2 == 0 {
			l.Post(place)
		} else {
			go place.Run()
		}
		<-placed
		if err := j.Wait(tail); err != nil {
			t.Fatal(err)
		}
		if _, after, _ := j.Durable(); after != before+1 {
			t.Fatalf("append %d took %d device writes", n, after-before)
		}
	}
}

// Asking the loop costs no memory.
func TestScheduleAllocatesNothing(t *testing.T) {
	_, l := loopJournal(t)
	w := newLoopWriter(l)
	ran := make(chan struct{}, 1)
	fn := func() { ran <- struct{}{} }
	if allocs := testing.AllocsPerRun(1000, func() { w.Schedule(fn); <-ran }); allocs > 0.1 {
		t.Fatalf("%v allocations", allocs)
	}
}
