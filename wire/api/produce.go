// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Appender is what Produce needs; *replica.Set is one.
type Appender interface {
	Lookup(topic []byte, index int32) *replica.Partition
	Append(r *replica.AppendRequest)
}

// Produce appends batches.
//
//	v0-2  message sets of magic 0 and 1, converted: produce_old.go
//	v1    throttle time      v2  log append time
//	v3    exactly one batch of format v2 per partition; transactional id
//	v5    log start offset    v7  zstd allowed    v8  record errors (KIP-467)
//	v9    flexible            v10 current leader  v11 same as v10
//
// Not done here: transactions (INVALID_TXN_STATE), and v10's current leader,
// which takes a second broker.
func Produce(d Deps) Handler {
	p := &producer{appender: d.Appender, places: Places{d.Cluster}, config: d.Config, now: d.Now, gate: d.memory().gate(), memory: d.memory()}
	p.opened.total = int64(d.memory()) / 2
	// One for each processor: were it more, a loop that comes back from the kernel
	// would stand in line behind them for Go's time slice of 10 ms.
	p.busy = make(chan struct{}, runtime.NumCPU())
	return Handler{Key: frame.KeyProduce, Min: 0, Max: frame.MaxProduce, Produce: true, Raw: true, Serve: p.serve}
}

// producer is the handler's fixed part.
type producer struct {
	appender Appender
	places   Places
	config   func(*replica.Partition) *engine.Config
	now      func() time.Time
	scratch  scratches
	gate     gate // of conversions
	memory   memory
	opened   gate          // memory of batches that are checked on the pool
	busy     chan struct{} // holds one for each of them at one time
	wide     turnstile
}

// produceCall is one Produce on its way: Call.State, used again and again.
type produceCall struct {
	c     *Call
	p     *producer
	req   frame.ProduceRequest
	resp  frame.ProduceResponse
	app   replica.AppendRequest
	kept  []*batch.Scratch // hold rewritten batches until the append is done
	heavy bool             // the batches are checked on the pool
	old   oldCall          // of a conversion

	check, wide, checked, placed, done, late, gone produceStep
}

// produceStep is a continuation of a produceCall: a Task that allocates nothing.
type produceStep struct {
	s  *produceCall
	do func(*produceCall)
}

// Run implements Task.
func (t *produceStep) Run() { t.do(t.s) }

// produceState finds the call's state, or makes it.
func (p *producer) state(c *Call) *produceCall {
	if s, ok := c.State.(*produceCall); ok {
		return s
	}
	s := &produceCall{c: c, p: p}
	s.check = produceStep{s, (*produceCall).onPool}
	s.wide = produceStep{s, (*produceCall).onWide}
	s.checked = produceStep{s, (*produceCall).append}
	s.placed = produceStep{s, (*produceCall).onPlaced}
	s.done = produceStep{s, (*produceCall).reply}
	s.late = produceStep{s, (*produceCall).onTimeout}
	s.old.granted = produceStep{s, (*produceCall).onGranted}
	s.old.pool = produceStep{s, (*produceCall).onOldPool}
	s.old.back = produceStep{s, (*produceCall).onNarrow}
	s.gone = produceStep{s, (*produceCall).onGone}
	c.State = s
	return s
}

// heavyBytes: a compressed batch above this is opened on the pool, not on the loop.
const heavyBytes = 16 << 10

// loopPlainBytes bounds what a batch opened on the loop may decompress to; one
// that is larger goes to the pool after all.
const loopPlainBytes = 256 << 10

func (p *producer) serve(c *Call) {
	s := p.state(c)
	s.heavy = false
	if err := s.req.Decode(c.Version, c.Raw); err != nil {
		c.Close(err)
		return
	}
	fault := s.fault()
	if fault == nil {
		s.req.Once()
	}
	s.prepare()
	if fault == nil {
		fault = s.refusal()
	}
	if fault != nil {
		s.refuseAll(fault)
		return
	}
	s.locate()
	if c.Version < 3 {
		s.convert()
		return
	}
	if s.heavy {
		c.Go(&s.check)
		return
	}
	if !s.checkAll(loopPlainBytes, loopPlainBytes) {
		c.Go(&s.check)
		return
	}
	s.append()
}

// prepare lays out one append part for each partition of the request.
func (s *produceCall) prepare() {
	n := len(s.req.Parts)
	if cap(s.app.Parts) < n {
		s.app.Parts = make([]replica.AppendPart, n)
	}
	s.app.Parts = s.app.Parts[:n]
	for i := range s.app.Parts {
		part := &s.app.Parts[i]
		part.Partition, part.Batches, part.Origin, part.Err = nil, nil, engine.Client, nil
		part.Base, part.LogStart, part.AppendTimeMs = -1, -1, -1
	}
}

// refusal is what is wrong with the request as a whole.
func (s *produceCall) refusal() error {
	if s.c.Version < 3 {
		if err := s.oldRefusal(); err != nil {
			return err
		}
	}
	return nil
}

// What Produce itself finds wrong.
var (
	errAcks          = Fail(frame.InvalidRequiredAcks, "api: acks must be -1, 0 or 1")
	errTransactional = Fail(frame.InvalidTxnState, "api: transactions are not served yet")
	errInternal      = Fail(frame.InvalidTopicException, "api: clients may not write to internal topics")
	errNoBatch       = Fail(frame.InvalidRecord, "api: a partition needs exactly one record batch of format v2")
	errZstd          = Fail(frame.UnsupportedCompressionType, "api: zstd needs Produce v7 or later")
	errBatchTooLarge = Fail(frame.MessageTooLarge, "api: the batch is larger than max.message.bytes")
)

// adminClient is the client id that may write to internal topics, as in Kafka.
const adminClient = "__admin_client"

// locate finds the partitions and judges their batches by the header alone.
func (s *produceCall) locate() {
	for t := range s.req.Topics {
		topic := &s.req.Topics[t]
		internal := isInternal(topic.Name) && s.c.Client.ID != adminClient
		for i := topic.First; i < topic.End; i++ {
			part, in := &s.app.Parts[i], &s.req.Parts[i]
			p := s.p.appender.Lookup(topic.Name, in.Index)
			switch {
			case internal:
				part.Err = errInternal
			case p == nil:
				part.Err = s.p.places.Missing(topic.Name, in.Index)
			default:
				part.Partition = p
				part.Err = s.judge(part, in.Records)
			}
			if !s.validAcks() && !comesBeforeAcks(part.Err) {
				part.Err = errAcks
			}
			if part.Err != nil {
				part.Partition = nil
			}
		}
	}
}

// judge looks at one partition's batch without opening it.
func (s *produceCall) judge(part *replica.AppendPart, records []byte) error {
	if s.c.Version < 3 { // all of it on the pool
		if records == nil {
			return errOldNull
		}
		return nil
	}
	if len(records) < batch.PeekSize {
		return errNoBatch
	}
	if _, magic, err := batch.Peek(records); err == nil && magic < 2 {
		return errNoBatch
	} else if errors.Is(err, batch.ErrUnsupportedMagic) {
		return fmt.Errorf("%w: %w", batch.ErrCorrupt, err) // no message format ever had it
	}
	b, rest, err := batch.Next(records)
	if errors.Is(err, batch.ErrShort) {
		return fmt.Errorf("%w: %v", errNoBatch, err) // cut short: Kafka sees no batch in it, and sending it again does not help
	} else if errors.Is(err, batch.ErrTooLarge) {
		return fmt.Errorf("%w: %v", batch.ErrUnreadable, err) // a length near 2^31: Kafka fails on it
	} else if err != nil {
		return err
	}
	config := s.p.config(part.Partition)
	switch {
	case len(rest) > 0 && secondBatch(rest) != nil:
		return secondBatch(rest)
	case b.Codec() == batch.CodecZstd && s.c.Version < 7:
		return errZstd
	case b.IsTransactional():
		return errTransactional
	case b.Size() > int(config.MaxMessageBytes):
		return fmt.Errorf("%w: %d > %d", errBatchTooLarge, b.Size(), config.MaxMessageBytes)
	}
	part.Batches = b
	if b.Size() > heavyBytes && (b.Codec() != batch.CodecNone || !config.Compression.Producer && config.Compression.Codec != b.Codec()) {
		s.heavy = true
	}
	return nil
}

// onPool checks the batches on the pool and goes back to the loop; those that
// decompress to very much wait for their turn.
func (s *produceCall) onPool() {
	cost := s.cost()
	if cost > 0 {
		s.p.opened.wait(cost)
	}
	s.p.busy <- struct{}{}
	ok := s.checkAll(poolPlainBytes, poolHeldBytes)
	<-s.p.busy
	if cost > 0 {
		s.p.opened.give(cost)
	}
	if ok {
		s.c.Home().Post(&s.checked)
	} else if s.p.wide.enter(s) {
		s.onWide()
	}
}

// onWide checks them again, as the only ones.
func (s *produceCall) onWide() {
	s.p.busy <- struct{}{}
	s.checkAll(batch.DefaultMaxSize, s.p.memory.held())
	<-s.p.busy
	s.p.wide.leave()
	s.c.Home().Post(&s.checked)
}

// cost is what checking the batches takes on the pool, in bytes; 0 for little.
func (s *produceCall) cost() (bytes int64) {
	for i := range s.app.Parts {
		if part := &s.app.Parts[i]; part.Partition != nil {
			rules := s.rules(s.p.config(part.Partition), 0, poolPlainBytes, poolHeldBytes)
			bytes = max(bytes, int64(batch.Cost(part.Batches, &rules)))
		}
	}
	if bytes < 1<<20 {
		return 0
	}
	return bytes
}

// checkAll validates every batch as Kafka does. It is false when one of them
// decompresses to more than plain bytes, or more than held where it cannot be
// streamed, and must be opened elsewhere.
func (s *produceCall) checkAll(plain, held int) bool {
	now := s.p.now().UnixMilli()
	var scratch *batch.Scratch
	ok := true
	for i := range s.app.Parts {
		part := &s.app.Parts[i]
		if part.Partition == nil {
			continue
		}
		if scratch == nil {
			scratch = s.p.scratch.get()
		}
		rewritten, err := s.checkOne(part, s.rules(s.p.config(part.Partition), now, plain, held), scratch)
		if errors.Is(err, batch.ErrTooLarge) && plain < batch.DefaultMaxSize {
			ok = false
			break
		}
		if part.Err = err; err != nil {
			part.Partition = nil
		}
		if rewritten {
			s.kept = append(s.kept, scratch)
			scratch = nil
		}
	}
	if scratch != nil {
		s.p.scratch.put(scratch)
	}
	return ok
}

// checkOne validates one batch and puts what belongs into the log in its place.
func (s *produceCall) checkOne(part *replica.AppendPart, rules batch.Rules, scratch *batch.Scratch) (rewritten bool, err error) {
	b, info, err := batch.Check(part.Batches, rules, scratch)
	if err != nil {
		return false, err
	}
	if most := s.p.config(part.Partition).MaxMessageBytes; info.Rewritten && b.Size() > int(most) {
		return false, fmt.Errorf("%w: %d > %d after recompression", errBatchTooLarge, b.Size(), most)
	}
	part.Batches = b
	return info.Rewritten, nil
}

// rules are what a partition's settings ask of a batch that may decompress to
// plain bytes, of which held may be held at once.
func (s *produceCall) rules(config *engine.Config, now int64, plain, held int) batch.Rules {
	rules := batch.Rules{
		TargetCodec: batch.CodecProducer, Level: config.Compression.Level, TimestampType: batch.TimestampType(config.MessageTimestampType),
		BeforeMaxMs: config.BeforeMaxMs, AfterMaxMs: config.AfterMaxMs, Now: now, Compact: config.Compact, MaxSize: plain, MaxHeld: held, Origin: batch.Client,
	}
	if !config.Compression.Producer {
		rules.TargetCodec = config.Compression.Codec
	}
	return rules
}

// append hands everything to the replicas.
func (s *produceCall) append() {
	s.app.Acks, s.app.Home, s.app.Placed, s.app.Done = s.req.Acks, s.c.Home(), &s.placed, &s.done
	s.p.appender.Append(&s.app)
}

// ownDiskMs is how long a Produce waits at least: its timeout is meant for other
// replicas, and in Kafka an append to the own log is none.
const ownDiskMs = 1000

// onPlaced: everything stands in its queue. From now on the clock runs for the
// in-sync replicas.
func (s *produceCall) onPlaced() {
	if s.req.Acks == replica.AcksAll {
		s.c.Park(time.Duration(max(s.req.TimeoutMs, ownDiskMs))*time.Millisecond, &s.late, &s.gone)
	}
	s.c.Placed()
}

// goneWait is how long a Produce waits for the in-sync replicas when its peer
// sends no more, but may still read.
const goneWait = 10 * time.Second

// onGone: the connection ends. What the client asked for is on its way and is
// carried out, but a timeout of its choosing does not keep its frame for long;
// and not at all when nobody is left to read the answer.
func (s *produceCall) onGone() {
	s.c.Park(min(goneWait, time.Duration(max(s.req.TimeoutMs, 0))*time.Millisecond), &s.late, nil)
}

// onTimeout: the in-sync replicas did not have it in time.
func (s *produceCall) onTimeout() { s.app.Expire() }
