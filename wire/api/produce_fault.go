// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/binary"
	"errors"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Kafka looks at the records of a Produce in steps, and at some of them a fault
// in one partition refuses the whole request. What a client is told depends on
// the step, so they are the same here.

// What makes the whole request fail.
var (
	errBrokenHeader  = Fail(frame.CorruptMessage, "api: a batch has no possible size or message format")
	errBrokenSecond  = Fail(frame.CorruptMessage, "api: what stands behind the batch has no possible size or message format")
	errTransactionOf = Fail(frame.TransactionalIDAuthorizationFailed, "api: a transactional batch needs a transactional id")
)

// Places in a batch's header that all message formats share.
const (
	headerOverhead = 12 // base offset and size
	headerToMagic  = 17
	smallestBatch  = 14 // what a message of the oldest format has behind the overhead
)

// headerState tells what Kafka sees where a batch should begin: none, a fault,
// or, when both are false, one.
func headerState(records []byte) (none, broken bool) {
	if len(records) < headerOverhead {
		return true, false
	}
	size := int32(binary.BigEndian.Uint32(records[8:]))
	if size < smallestBatch {
		return false, true
	}
	if len(records) < headerToMagic {
		return true, false
	}
	if records[16] > 2 {
		return false, true
	}
	return int64(size) > int64(len(records)-headerOverhead), false
}

// secondBatch is what is wrong with bytes behind a batch: nothing while they are
// not a batch of their own; then they are ignored.
func secondBatch(rest []byte) error {
	switch none, broken := headerState(rest); {
	case broken:
		return errBrokenSecond
	case none:
		return nil
	}
	return errNoBatch
}

// fault is what Kafka finds before it looks at topics: it wants to know whether
// the first batch of a partition is part of a transaction.
func (s *produceCall) fault() error {
	for i := range s.req.Parts {
		records := s.req.Parts[i].Records
		switch none, broken := headerState(records); {
		case broken:
			return errBrokenHeader
		case none || records[16] < 2 || len(records) < batch.HeaderSize:
			continue
		}
		if batch.Batch(records).IsTransactional() && s.req.TransactionalID == nil {
			return errTransactionOf
		}
	}
	return nil
}

// refuseAll answers every partition with err.
func (s *produceCall) refuseAll(err error) {
	if len(s.app.Parts) != len(s.req.Parts) {
		s.prepare()
	}
	for i := range s.app.Parts {
		s.app.Parts[i].Partition, s.app.Parts[i].Err = nil, err
	}
	s.reply()
}

func (s *produceCall) validAcks() bool { return s.req.Acks >= -1 && s.req.Acks <= 1 }

// comesBeforeAcks tells whether Kafka finds err before it looks at the acks.
func comesBeforeAcks(err error) bool {
	return errors.Is(err, replica.ErrUnknownPartition) || errors.Is(err, errNoBatch) || errors.Is(err, errBrokenSecond) || errors.Is(err, errZstd)
}
