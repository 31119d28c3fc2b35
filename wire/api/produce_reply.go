// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/wire/frame"
)

// reply answers a Produce; with acks=0 it is silent, or closes the connection
// when something failed, so that the client looks for the leader again.
func (s *produceCall) reply() {
	for i, scratch := range s.kept {
		s.p.scratch.put(scratch)
		s.kept[i] = nil
	}
	s.kept = s.kept[:0]
	s.freeOld()
	c := s.c
	if s.req.Acks == 0 {
		err := s.firstError()
		s.forget()
		if err != nil {
			c.Close(err)
		} else {
			c.Silent()
		}
		return
	}
	s.resp.Topics = s.req.Topics
	if cap(s.resp.Parts) < len(s.app.Parts) {
		s.resp.Parts = make([]frame.ProduceResult, len(s.app.Parts))
	}
	s.resp.Parts = s.resp.Parts[:len(s.app.Parts)]
	for i := range s.app.Parts {
		part := &s.app.Parts[i]
		r := &s.resp.Parts[i]
		*r = frame.ProduceResult{Index: s.req.Parts[i].Index, Base: int64(part.Base), AppendTimeMs: part.AppendTimeMs, LogStart: int64(part.LogStart), Leader: -1}
		if part.Err != nil && part.Err != errOldNothing {
			explain(r, part.Err)
			r.LogStart = s.startOf(i, r.Code, part.Err)
		}
	}
	c.Begin()
	c.Out = s.resp.AppendTo(c.Out, c.Version)
	s.forget()
	c.Done()
}

// startOf is the log start that a refused append is told: Kafka gives it when a
// log has judged the records, and -1 when it did not come to that.
func (s *produceCall) startOf(part int, code frame.ErrorCode, err error) int64 {
	switch code {
	case frame.UnknownTopicOrPartition, frame.NotLeaderOrFollower, frame.MessageTooLarge, frame.RecordListTooLarge, frame.CorruptMessage,
		frame.KafkaStorageError, frame.RequestTimedOut, frame.InvalidRequiredAcks, frame.InvalidTxnState, frame.InvalidTopicException:
		return -1
	}
	if errors.Is(err, errNoBatch) {
		return -1
	}
	for i := range s.req.Topics {
		t := &s.req.Topics[i]
		if part < int(t.First) || part >= int(t.End) {
			continue
		}
		if p := s.p.appender.Lookup(t.Name, s.req.Parts[part].Index); p != nil {
			return int64(p.LogStart())
		}
	}
	return -1
}

// explain turns an error into a partition's result, record errors included.
func explain(r *frame.ProduceResult, err error) {
	r.Code = Code(err)
	r.Base, r.AppendTimeMs, r.LogStart = -1, -1, -1
	var records *batch.RecordsError
	if errors.Is(err, errBrokenHeader) {
		r.Message = err.Error()
	}
	if errors.As(err, &records) { // otherwise Kafka has words for what is wrong with records only
		r.Message = err.Error()
		for _, e := range records.Records {
			r.RecordErrors = append(r.RecordErrors, frame.RecordError{Index: e.Index, Message: e.Reason})
		}
	}
}

// firstError is the first part's that has one.
func (s *produceCall) firstError() error {
	for i := range s.app.Parts {
		if err := s.app.Parts[i].Err; err != nil && err != errOldNothing {
			return err
		}
	}
	return nil
}

// keepParts bounds what an idle call keeps of an unusually large request.
const keepParts = 1024

// forget drops what refers to the frame and what is unusually large.
func (s *produceCall) forget() {
	s.resp.Topics = nil
	for i := range s.app.Parts {
		part := &s.app.Parts[i]
		part.Partition, part.Batches, part.Err = nil, nil, nil
	}
	if cap(s.app.Parts) > keepParts {
		s.app.Parts, s.resp.Parts = nil, nil
		s.req = frame.ProduceRequest{Acks: s.req.Acks}
	}
}
