// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Produce v0 to v2 bring message sets of magic 0 and 1, which become one batch
// of magic 2 each, on the pool, within a gate's memory. Kafka has never checked
// what these versions bring, so a batch of magic 2 is taken as well.

// What only Produce v0 to v2 meets.
var (
	errOldTransactional = Fail(frame.TransactionalIDAuthorizationFailed, "api: a transactional batch needs a transactional id")
	errOldNull          = Fail(frame.UnknownServerError, "api: the records are null")
	errOldTwo           = Fail(frame.InvalidRecord, "api: a partition takes one record batch of format v2, not more")
	errOldNothing       = Fail(frame.None, "api: a set without a whole message") // acknowledged and forgotten
)

// oldCall is what a call keeps of a conversion.
type oldCall struct {
	held    int64 // of the gate
	wide    bool  // the usual memory was not enough
	granted produceStep
	pool    produceStep
	back    produceStep
}

// oldRefusal is what is wrong with the whole of a v0 to v2 request: Kafka looks
// at the first batch of every partition before anything else.
func (s *produceCall) oldRefusal() error {
	for i := range s.req.Parts {
		records := s.req.Parts[i].Records
		size, err := batch.PeekOld(records)
		switch {
		case err != nil:
			return fmt.Errorf("partition %d: %w", s.req.Parts[i].Index, err)
		case size >= batch.HeaderSize && batch.Batch(records[:size]).Magic() == 2 && batch.Batch(records[:size]).IsTransactional():
			return errOldTransactional
		}
	}
	return nil
}

// convert takes memory for the conversion and goes on to the pool.
func (s *produceCall) convert() {
	reserve := int64(0)
	for i := range s.app.Parts {
		if s.app.Parts[i].Partition != nil {
			records := s.req.Parts[i].Records
			_, n := plan(len(records), compressedOld(records), s.old.wide, s.p.memory.converted())
			reserve += n
		}
	}
	if reserve == 0 { // nothing is left to convert
		s.append()
		return
	}
	s.old.held = reserve
	home := s.c.Home()
	if s.p.gate.take(reserve, func() { home.Post(&s.old.granted) }) {
		s.onGranted()
	}
}

// compressedOld tells whether a set may be compressed, by its first message.
func compressedOld(records []byte) bool {
	at := 17 // attributes of magic 0 and 1
	if len(records) >= batch.HeaderSize && records[16] == 2 {
		at = 22
	}
	return len(records) > at && records[at]&7 != 0
}

func (s *produceCall) onGranted() { s.c.Go(&s.old.pool) }

// onOldPool converts every part.
func (s *produceCall) onOldPool() {
	now := s.p.now().UnixMilli()
	scratch := s.p.scratch.get()
	again := false
	left := int64(0)
	for i := range s.app.Parts {
		part := &s.app.Parts[i]
		if part.Partition == nil {
			continue
		}
		made, err := s.raise(part, s.req.Parts[i].Records, now, scratch)
		if errors.Is(err, errNarrow) {
			again = true
			break
		}
		left += int64(made)
		if part.Err = err; err != nil {
			part.Partition = nil
		}
	}
	s.p.scratch.put(scratch)
	if !again {
		s.p.gate.give(s.old.held - left)
		s.old.held = left
		s.c.Home().Post(&s.checked)
		return
	}
	s.c.Home().Post(&s.old.back)
}

// onNarrow begins again with all the memory that the sets could take. Parts
// that were converted already are converted once more.
func (s *produceCall) onNarrow() {
	s.p.gate.give(s.old.held)
	s.old.held, s.old.wide = 0, true
	s.convert()
}

// errNarrow: more memory is needed than was reserved.
var errNarrow = errors.New("api: a message set decompresses to more than expected")

// raise makes what belongs into the log of one partition's set. The batch is
// memory of its own unless the set holds it as it is; made says how many bytes.
func (s *produceCall) raise(part *replica.AppendPart, records []byte, now int64, scratch *batch.Scratch) (made int, err error) {
	config := s.p.config(part.Partition)
	most := int(config.MaxMessageBytes)
	set, err := batch.Survey(records, most)
	switch {
	case err != nil:
		return 0, err
	case set.Count == 0:
		return 0, errOldNothing
	case set.Magic == 2 && set.Count > 1:
		return 0, errOldTwo
	}
	limit, _ := plan(len(records), compressedOld(records), s.old.wide, s.p.memory.converted())
	rules := s.rules(config, now, limit, limit)
	var b batch.Batch
	var info batch.Info
	if set.Magic == 2 {
		b, info, err = batch.Check(batch.Batch(set.Bytes), rules, scratch)
	} else {
		b, info, err = batch.Up(set, rules, scratch)
	}
	switch {
	case errors.Is(err, batch.ErrTooLarge) && !s.old.wide && compressedOld(records):
		return 0, errNarrow
	case err != nil:
		return 0, err
	case info.Rewritten && b.Size() > most:
		return 0, fmt.Errorf("%w: %d > %d after conversion", errBatchTooLarge, b.Size(), most)
	case info.Rewritten:
		part.Batches = bytes.Clone(b)
		return len(b), nil
	}
	part.Batches = b
	return 0, nil
}

// freeOld gives back the memory of what was converted.
func (s *produceCall) freeOld() {
	if s.old.held > 0 {
		s.p.gate.give(s.old.held)
	}
	s.old.held, s.old.wide = 0, false
}
