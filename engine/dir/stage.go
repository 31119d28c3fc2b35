// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"fmt"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/journal"
)

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
