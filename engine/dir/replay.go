// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/journal"
)

// replayer brings the journal's entries back into the logs.
type replayer struct {
	d      *Dir
	out    *Started
	damage []Drop           // what cannot be brought back
	lost   map[uint64]int   // creation -> index in damage
	drops  map[uint64]*Drop // what is dropped on purpose, by creation
	order  []uint64         // of drops
	spans  []engine.Span

	entries int                 // so far
	staged  map[uint64]*pending // by creation
}

// replayJournal applies the journal. Doing it twice, or dying within, changes nothing:
// every rule looks at the log as it stands.
func replayJournal(d *Dir, out *Started) error {
	r := &replayer{d: d, out: out, lost: map[uint64]int{}, drops: map[uint64]*Drop{}, staged: map[uint64]*pending{}}
	for _, l := range d.logs.loaded() {
		if err := r.missing(l); err != nil {
			return err
		}
	}
	got, err := r.run()
	out.Groups, out.Entries, out.Torn = got.Groups, got.Entries, got.Torn
	out.Bytes, out.Window = got.Bytes, got.Window
	out.BytesRead, out.BytesSearched = got.BytesRead, got.BytesSearched
	d.surveyed.kept.Free()
	if err != nil {
		return err
	}
	for _, creation := range r.order {
		d.drop(*r.drops[creation])
	}
	return r.verdict()
}

// run applies every entry that survey has seen.
func (r *replayer) run() (got journal.Scanned, err error) {
	d := r.d
	got = d.surveyed.Scanned
	each := func(e *journal.Entry) error {
		r.entries++
		return r.entry(e)
	}
	again, err := d.surveyed.kept.Each(d.o.FS, d.o.Path, d.last, each)
	got.BytesRead += again.BytesRead
	got.BytesSearched += again.BytesSearched
	for _, l := range d.logs.loaded() {
		if err == nil {
			err = r.written(l)
		}
	}
	return got, err
}

// missing handles a log that lacks segments, names and all: those the power
// took before they were synced, while later ones stayed, or those retention was
// about to rename. What stands of it is no log then; but the journal holds
// everything above S, and what lies below is retention's or damage.
func (r *replayer) missing(l *Log) error {
	s, start, end := l.s, int64(l.Start()), int64(l.End())
	if !s.known || l.touched || s.removed || start <= max(s.start, s.synced) && end >= s.synced {
		return nil
	}
	if s.synced > max(s.start, s.expirable) {
		from := end
		if start > s.synced {
			from = s.start
		}
		r.loses(&journal.Entry{Log: s.id, Last: s.synced - 1}, s.name, from, "synced segments are missing")
	}
	if err := l.Log.Reset(engine.Offset(max(s.start, s.synced))); err != nil {
		return err
	}
	return l.settleCut()
}

func (r *replayer) entry(e *journal.Entry) error {
	switch e.Kind {
	case journal.KindCreated, journal.KindRemoved, journal.KindStart, journal.KindExpire:
		return nil // survey took it
	}
	s := r.d.logs.states[e.Log.Creation]
	switch {
	case s == nil: // its creation stood in a group that is damaged
		name := fmt.Sprintf("topic id %s partition %d", topicText(e.Log.Topic), e.Log.Partition)
		r.loses(e, name, e.Base, "the journal does not say which log this is")
		return nil
	case s.removed:
		r.out.Skipped++
		return nil
	case s.name == "" || !s.there:
		r.drops1(s, e, "another broker deleted the log")
		return nil
	case s.log == nil:
		return fmt.Errorf("dir: journal holds records of %s, which was not loaded before", s.name)
	case e.Kind == journal.KindReset:
		if err := r.written(s.log); err != nil {
			return err
		}
		s.synced = min(s.synced, e.Base)
		if err := s.log.Log.Reset(engine.Offset(e.Base)); err != nil {
			return err
		}
		return s.log.settleCut()
	case s.log.recall != nil && covered(e, s.synced) && !covered(e, s.log.recalled):
		r.out.Skipped++
		return r.recall(s, e)
	case covered(e, s.synced) || e.Last < int64(s.log.Start()):
		r.out.Skipped++
		return nil
	case s.log.replaced:
		return r.replace(s, e)
	}
	if err := r.written(s.log); err != nil {
		return err
	}
	return r.records(s, e)
}

// recall tells producer state of an entry whose records the segments hold.
func (r *replayer) recall(s *state, e *journal.Entry) (err error) {
	var read int64
	switch {
	case s.trail.dead(r.entries, e): // it was cut off
	case e.Kind == journal.KindBatch:
		err = s.log.recall.Batch(e.Data)
	default:
		read, err = s.log.recall.Read(engine.Offset(e.Last + 1))
	}
	r.out.BytesRecalled += read
	if err != nil {
		return fmt.Errorf("dir: replay of %s: %w", s.name, err)
	}
	return nil
}

// replace is the rule for a log whose records above S all come from the journal.
func (r *replayer) replace(s *state, e *journal.Entry) error {
	end := int64(s.log.End())
	if p := r.staged[s.id.Creation]; p != nil && p.n > 0 {
		end = p.end
	}
	switch {
	case s.trail.dead(r.entries, e):
		r.out.Skipped++ // it was cut off
		return nil
	case e.Kind != journal.KindBatch || e.End != end:
		r.loses(e, s.name, end, "the log ends elsewhere than the records the journal holds begin")
		return nil
	}
	return r.append(s.log, e)
}

// records is the rule for one entry of records (FORMAT.md, replay).
func (r *replayer) records(s *state, e *journal.Entry) error {
	l := s.log
	end := int64(l.End())
	if e.Kind == journal.KindSynced && end > e.Last {
		r.out.Kept++
		return nil
	}
	if e.Kind == journal.KindSynced || end < e.End {
		return r.beyond(s, e)
	}
	if end > e.End {
		goOn, err := r.overlap(s, e)
		if err != nil || !goOn {
			return err
		}
	}
	last, err := r.standing(l, l.End()-1)
	if err != nil {
		return err
	}
	if last != nil && last.LeaderEpoch() > e.Epoch {
		r.out.Skipped++ // it was cut off before that batch was appended
		return nil
	}
	return r.append(l, e)
}

// beyond handles an entry that needs more in front of it than the log holds.
func (r *replayer) beyond(s *state, e *journal.Entry) error {
	l := s.log
	end := l.End()
	last, err := r.standing(l, end-1)
	switch {
	case err != nil:
		return err
	case l.touched:
		r.drops1(s, e, "another broker opened the log since")
	case last != nil && last.LeaderEpoch() > e.Epoch:
		r.out.Skipped++ // it was cut off before what stands at the end was appended
	case e.Kind == journal.KindSynced:
		r.loses(e, s.name, int64(end), "the segment was synced to there and is shorter")
	default:
		r.loses(e, s.name, int64(end), "the log ends before the records the journal holds")
	}
	return nil
}

// overlap handles a log that holds something where e was appended; true: e is
// to be appended now.
func (r *replayer) overlap(s *state, e *journal.Entry) (bool, error) {
	l := s.log
	standing, err := r.standing(l, engine.Offset(e.End))
	if err != nil {
		return false, err
	}
	if standing != nil && standing.BaseOffset() > e.Last {
		standing = nil // a hole, which the power tore
	}
	switch {
	case standing != nil && standing.BaseOffset() == e.Base && standing.LastOffset() == e.Last &&
		standing.LeaderEpoch() == e.Epoch && standing.CRC() == e.CRC:
		r.out.Kept++
		return false, nil
	case l.touched:
		r.drops1(s, e, "another broker opened the log since")
		return false, nil
	case standing != nil && standing.LeaderEpoch() > e.Epoch:
		r.out.Skipped++
		return false, nil
	}
	r.out.Truncated++
	if err := l.Log.TruncateTo(engine.Offset(e.End)); err != nil {
		return false, err
	}
	return true, l.settleCut()
}

// standing reads the head of the batch that holds at, or the next one.
func (r *replayer) standing(l *Log, at engine.Offset) (batch.Batch, error) {
	if l.Start() == l.End() {
		return nil, nil
	}
	var err error
	r.spans, err = l.View().Read(r.spans[:0], max(at, l.Start()), l.End(), batch.HeaderSize, true)
	defer func() {
		for i := range r.spans {
			r.spans[i].Release()
		}
	}()
	if err != nil || len(r.spans) == 0 {
		return nil, err
	}
	head := make([]byte, batch.HeaderSize)
	n, err := r.spans[0].File().ReadAt(head, r.spans[0].Off())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if b := batch.Batch(head); n == len(head) && b.Magic() == 2 {
		return b, nil
	}
	return nil, nil // an old message format: nothing the journal holds equals it
}

// verdict makes one error of what replay could not bring back.
func (r *replayer) verdict() error {
	d := r.d
	if len(r.damage) == 0 {
		return nil
	}
	var text strings.Builder
	for i, x := range r.damage {
		if i > 0 {
			text.WriteString("; ")
		}
		fmt.Fprintf(&text, "%s lacks offsets %d to %d: %s", x.Log, x.From, x.To-1, x.Why)
	}
	if d.accept {
		for _, x := range r.damage {
			d.drop(x)
		}
		return nil
	}
	return fmt.Errorf("%w: %s: %s", ErrDamaged, d.o.Path, text.String())
}

// loses notes damage, one range a log.
func (r *replayer) loses(e *journal.Entry, name string, from int64, why string) {
	i, ok := r.lost[e.Log.Creation]
	if !ok {
		i = len(r.damage)
		r.lost[e.Log.Creation] = i
		r.damage = append(r.damage, Drop{Log: name, From: from, To: from, Why: why})
	}
	r.damage[i].To = max(r.damage[i].To, e.Last+1)
}

// drops1 notes what is left out on purpose, one range a log.
func (r *replayer) drops1(s *state, e *journal.Entry, why string) {
	x := r.drops[e.Log.Creation]
	if x == nil {
		x = &Drop{Log: logName(s.topic, s.partition), From: e.Base, To: e.Base, Why: why}
		r.drops[e.Log.Creation] = x
		r.order = append(r.order, e.Log.Creation)
	}
	x.From, x.To = min(x.From, e.Base), max(x.To, e.Last+1)
}

// Replay writes so many batches or bytes of a log at once.
const (
	pendingMost  = 64
	pendingBytes = 1 << 20
)

// pending is what replay has staged in a log and not written yet.
type pending struct {
	l       *Log
	appends [pendingMost]engine.Append
	n       int
	bytes   int
	end     int64 // of the log, once it is written
}

// append brings the batch of an entry back. Its data must stay as it is until
// it is written.
func (r *replayer) append(l *Log, e *journal.Entry) error {
	p := r.staged[l.s.id.Creation]
	if p == nil {
		p = &pending{l: l}
		r.staged[l.s.id.Creation] = p
	}
	a := &p.appends[p.n]
	*a = engine.Append{Batches: e.Data, Origin: engine.Replica, Epoch: engine.Epoch(e.Epoch)}
	if err := l.Log.Stage(a); err != nil {
		return fmt.Errorf("dir: replay of offset %d into %s: %w", e.Base, l.s.name, err)
	}
	r.out.Appended++
	p.n, p.bytes, p.end = p.n+1, p.bytes+len(e.Data), e.Last+1
	if p.n < pendingMost && p.bytes < pendingBytes {
		return nil
	}
	return p.write()
}

// written writes what is staged in a log.
func (r *replayer) written(l *Log) error {
	if p := r.staged[l.s.id.Creation]; p != nil {
		return p.write()
	}
	return nil
}

func (p *pending) write() error {
	if p.n == 0 {
		return nil
	}
	first := p.l.End()
	_, err := p.l.Log.Write()
	clear(p.appends[:p.n])
	p.n, p.bytes = 0, 0
	if err != nil {
		return fmt.Errorf("dir: replay from offset %d on into %s: %w", first, p.l.s.name, err)
	}
	return nil
}
