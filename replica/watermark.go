// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"sync/atomic"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
)

// durableOp tells a partition that its durable end moved. There is one per
// partition: moves that come while it waits in the queue are one operation.
type durableOp struct {
	node
	queued atomic.Bool
}

func (o *durableOp) step(t *Turn) {
	o.queued.Store(false) // before the end is read, or a move could be missed
	t.checkDir()
	t.advance()
}

func (o *durableOp) fail(t *Turn, _ error) { o.queued.Store(false) }

// onDurable is the directory's call: from any goroutine, and never blocking.
func (p *Partition) onDurable() {
	if !p.durableOp.queued.Swap(true) {
		p.send(&p.durableOp.node)
	}
}

// advance reads the durable end and moves the high watermark as far as the
// in-sync replicas allow, answering appends that waited for either.
func (t *Turn) advance() {
	p, log := t.p, t.p.log.Load()
	if log == nil || t.Err() != nil {
		return
	}
	if end := log.DurableEnd(); end > t.durable {
		t.durable = end
		t.giveBack(t.held.upTo(end))
		for e := t.local.covered(end); e != nil; e = t.local.covered(end) {
			t.answer(e, nil)
		}
	}
	hw := t.committed()
	if hw <= p.HighWatermark() {
		return
	}
	p.hw.Store(int64(hw))
	t.moved = true
	for e := t.quorum.covered(hw); e != nil; e = t.quorum.covered(hw) {
		t.answer(e, nil)
	}
}

// committed is the offset up to which every in-sync replica has the log durably:
// the least of our durable end and the others' positions. Like Kafka since 3.7
// it does not move while fewer than min.insync.replicas are in sync.
func (t *Turn) committed() engine.Offset {
	lead := t.p.lead.Load()
	if lead.short() {
		return t.p.HighWatermark()
	}
	end := t.durable
	for _, id := range lead.isr {
		if id != t.p.set.o.Broker {
			end = min(end, t.followers.position(id))
		}
	}
	return end
}

// follower is another replica's position as this leader knows it.
type follower struct {
	id  meta.BrokerID
	end engine.Offset
}

// followers are kept in turns. One that never fetched stands at 0.
type followers []follower

func (f followers) position(id meta.BrokerID) engine.Offset {
	for i := range f {
		if f[i].id == id {
			return f[i].end
		}
	}
	return 0
}

// marksMax bounds the marks between the high watermark and the log end.
const marksMax = 128

// marks remember where writes ended and how many bytes the log had taken by
// then, so that a move of the high watermark can be told in bytes without
// reading anything. They belong to the holder of the turn.
type marks struct {
	taken int64         // bytes the log has taken since it was opened
	below int64         // of these, below the last mark that was passed
	upTo  engine.Offset // of the last pass
	ring  []mark        // marksMax long once there was an append
	first int
	n     int
}

type mark struct {
	end   engine.Offset
	taken int64
}

// add notes that the log ends at end after n more bytes. When there is no place
// the last mark moves up: passing it is then told late, and pass says so.
func (m *marks) add(end engine.Offset, n int64) {
	m.taken += n
	if m.ring == nil {
		m.ring = make([]mark, marksMax)
	}
	if m.n < marksMax {
		m.n++
	}
	m.ring[(m.first+m.n-1)%marksMax] = mark{end, m.taken}
}

// pass drops the marks up to end and gives the bytes between the previous pass
// and this one. It is exact if end did not move or a mark stood at end itself;
// otherwise there may be more.
func (m *marks) pass(end engine.Offset) (bytes int64, exact bool) {
	before := m.below
	exact = end == m.upTo
	m.upTo = end
	for m.n > 0 && m.ring[m.first].end <= end {
		exact = m.ring[m.first].end == end
		m.below = m.ring[m.first].taken
		m.first, m.n = (m.first+1)%marksMax, m.n-1
	}
	return m.below - before, exact
}
