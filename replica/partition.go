// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"sync/atomic"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// Partition is one replica of a partition on this broker: its log, who leads
// it, how far it is committed and who waits for that. The exported methods may
// be called from any goroutine unless they say otherwise.
type Partition struct {
	set     *Set
	id      meta.Partition
	topicID meta.TopicID
	home    Home // drains what no loop pushed
	dir     *dir.Dir
	place   int // of dir in Options.Dirs
	source  source

	queue    queue
	log      atomic.Pointer[dir.Log] // nil until opened
	lead     atomic.Pointer[leadership]
	config   atomic.Pointer[engine.Config]
	down     atomic.Pointer[error] // why nothing is served any more; nil while it is
	hw       atomic.Int64
	watchers watchList

	turn Turn

	durableOp durableOp
	openOp    openOp
	tickOp    tickOp
}

// leadership is what the controller said last. It is immutable.
type leadership struct {
	epoch          engine.Epoch
	start          engine.Offset // log end when the epoch began; 0 until the log is open
	partitionEpoch int32
	isr, replicas  []meta.BrokerID
	minISR         int
}

// ID names the partition.
func (p *Partition) ID() meta.Partition { return p.id }

// TopicID is the id of its topic.
func (p *Partition) TopicID() meta.TopicID { return p.topicID }

// Dir is the log directory that holds it.
func (p *Partition) Dir() *dir.Dir { return p.dir }

// HighWatermark is the offset behind the last committed record; -1 until the log is open.
func (p *Partition) HighWatermark() engine.Offset { return engine.Offset(p.hw.Load()) }

// LastStable is the last stable offset: what read_committed may see ends below it.
func (p *Partition) LastStable() engine.Offset {
	hw := p.HighWatermark()
	if l := p.log.Load(); l != nil {
		return l.LastStable(hw)
	}
	return hw
}

// LogStart is the first offset kept; -1 until the log is open.
func (p *Partition) LogStart() engine.Offset {
	if l := p.log.Load(); l != nil {
		return l.Start()
	}
	return -1
}

// LogEnd is the offset the next record gets; -1 until the log is open.
func (p *Partition) LogEnd() engine.Offset {
	if l := p.log.Load(); l != nil {
		return l.End()
	}
	return -1
}

// Size is the bytes of all segments, 0 until the log is open.
func (p *Partition) Size() int64 {
	if l := p.log.Load(); l != nil {
		return l.Size()
	}
	return 0
}

// LeaderEpoch is the epoch this broker leads in.
func (p *Partition) LeaderEpoch() engine.Epoch { return p.lead.Load().epoch }

// ISR is the in-sync replicas, this broker included. Read-only.
func (p *Partition) ISR() []meta.BrokerID { return p.lead.Load().isr }

// Err is why the partition serves nothing: nil, ErrStorage, ErrDeleted or ErrNotLeader.
func (p *Partition) Err() error {
	if err := p.down.Load(); err != nil {
		return *err
	}
	return nil
}

// Config is the settings in force.
func (p *Partition) Config() *engine.Config { return p.config.Load() }

// checkEpoch compares a caller's leader epoch with ours; -1 means it knows none.
func (p *Partition) checkEpoch(theirs engine.Epoch) error {
	switch ours := p.LeaderEpoch(); {
	case theirs == -1 || theirs == ours:
		return nil
	case theirs < ours:
		return ErrFencedEpoch
	default:
		return ErrUnknownEpoch
	}
}
