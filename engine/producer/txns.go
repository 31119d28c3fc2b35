// SPDX-License-Identifier: Apache-2.0

package producer

import (
	"slices"
	"sync/atomic"
)

// Txns is which transactions of a log are open, and which are decided but
// perhaps not yet below the high watermark. It is fed by what State found
// when the batches stand in the log.
type Txns struct {
	open    []openTxn   // by First, ascending
	decided []Completed // by Last, ascending
	picture atomic.Pointer[txnPicture]
	seenHW  atomic.Int64 // highest watermark a reader named: decided ones below it are done with
}

type openTxn struct{ producerID, first int64 }

// txnPicture is immutable.
type txnPicture struct {
	firstOpen int64 // -1: none
	decided   []Completed
}

// Begin notes an open transaction.
func (t *Txns) Begin(c Completed) {
	at, _ := slices.BinarySearchFunc(t.open, c.First, func(o openTxn, first int64) int {
		switch {
		case o.first < first:
			return -1
		case o.first > first:
			return 1
		}
		return 0
	})
	t.open = slices.Insert(t.open, at, openTxn{c.ProducerID, c.First})
	t.publish()
}

// Complete notes that a transaction was decided and returns the last stable
// offset at that moment: the first offset of another open transaction, else
// what follows the marker. It is what an index of aborted transactions records.
func (t *Txns) Complete(c Completed) (lastStable int64) {
	t.open = slices.DeleteFunc(t.open, func(o openTxn) bool { return o.producerID == c.ProducerID && o.first == c.First })
	hw := t.seenHW.Load()
	t.decided = slices.DeleteFunc(t.decided, func(d Completed) bool { return d.Last < hw })
	t.decided = append(t.decided, c)
	t.publish()
	if len(t.open) > 0 {
		return t.open[0].first
	}
	return c.Last + 1
}

// Reset forgets everything and takes the open transactions of state.
func (t *Txns) Reset(state *State) {
	t.open, t.decided = nil, nil
	for _, e := range state.Entries() {
		if e.TxnFirstOffset != noOffset {
			t.open = append(t.open, openTxn{e.ID, e.TxnFirstOffset})
		}
	}
	slices.SortFunc(t.open, func(a, b openTxn) int { return int(min(max(a.first-b.first, -1), 1)) })
	t.seenHW.Store(0)
	t.publish()
}

// Open is the number of open transactions.
func (t *Txns) Open() int { return len(t.open) }

func (t *Txns) publish() {
	if len(t.open) == 0 && len(t.decided) == 0 {
		t.picture.Store(nil)
		return
	}
	p := &txnPicture{firstOpen: noOffset, decided: slices.Clone(t.decided)}
	if len(t.open) > 0 {
		p.firstOpen = t.open[0].first
	}
	t.picture.Store(p)
}

// LastStable is the end of what a reader of committed records may see below
// the high watermark hw: the first offset of the oldest transaction that is
// open, or whose marker is not below hw; hw if there is none. For any goroutine.
func (t *Txns) LastStable(hw int64) int64 {
	p := t.picture.Load()
	if p == nil {
		return hw
	}
	if hw > t.seenHW.Load() {
		t.seenHW.Store(hw) // a lost race only keeps a decided transaction longer
	}
	stable := hw
	if p.firstOpen != noOffset {
		stable = min(stable, p.firstOpen)
	}
	for i := range p.decided {
		if p.decided[i].Last >= hw {
			stable = min(stable, p.decided[i].First)
		}
	}
	return stable
}
