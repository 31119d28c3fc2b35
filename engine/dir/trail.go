// SPDX-License-Identifier: Apache-2.0

package dir

import "github.com/samsa-broker/samsa/engine/journal"

// trail follows what the journal holds of one log above S. Where it is whole,
// what the segments hold there is given up unread and comes from the journal,
// which was checked when it was surveyed.
//
// It is whole when its first entry was appended at S, so that nothing stood
// above S then, and each later one where the one before ended or, after a
// truncation, below.
type trail struct {
	begun  bool
	broken bool
	end    int64 // of the log, behind the last entry
	synced int64 // the segments hold everything below, by an entry that says so
	cuts   []cut
}

// cut is a truncation, which is seen when something is appended behind it.
type cut struct {
	at  int   // the number of the entry that follows it
	end int64 // to where
}

// follow takes the n-th entry of the journal, which is about records.
func (t *trail) follow(n int, s int64, e *journal.Entry) {
	if covered(e, s) {
		return
	}
	switch {
	case !t.begun:
		t.broken = t.broken || e.End != s
	case e.End > t.end || e.End < max(s, t.synced):
		t.broken = true
	case e.End < t.end:
		t.cuts = append(t.cuts, cut{n, e.End})
	}
	t.begun, t.end = true, e.Last+1
	if e.Kind == journal.KindSynced {
		// Its segment was synced from the beginning on before the group was
		// written, and is not cut below that without a checkpoint.
		t.synced = e.Last + 1
	}
}

// dead tells whether the n-th entry was cut off later.
func (t *trail) dead(n int, e *journal.Entry) bool {
	for _, c := range t.cuts {
		if n < c.at && e.Last >= c.end {
			return true
		}
	}
	return false
}

// covered tells that the segments hold an entry, or something later that
// replaced it: S lies above it, or above the log end it was appended at.
func covered(e *journal.Entry, s int64) bool { return e.Last < s || e.End < s }

// replaces tells whether the journal takes the place of what the segments of a
// log hold above S: nobody but us had the log since. A broker that did, and
// stopped cleanly, left its recovery point; one that did not, a preallocated
// index. A recovery point of ours is never above S, except where S came down just
// before the power went.
func (d *Dir) replaces(s *state, touched bool) bool {
	return d.surveyed.kept != nil && len(d.surveyed.Gaps) == 0 && s.known && !touched && s.trail.begun && !s.trail.broken &&
		d.recoveryPoints != nil && d.recoveryPoints[s.place()] <= s.synced
}
