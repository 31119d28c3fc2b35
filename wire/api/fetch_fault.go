// SPDX-License-Identifier: Apache-2.0

package api

import "github.com/samsa-broker/samsa/wire/frame"

// oddIsolation tells whether a partition that is here shall be read at an
// isolation level that does not exist. Kafka fails on that.
func oddIsolation(s *fetchCall) bool {
	if s.req.Isolation == frame.ReadUncommitted || s.req.Isolation == frame.ReadCommitted {
		return false
	}
	for i := range s.read.Parts {
		if s.read.Parts[i].Partition != nil {
			return true
		}
	}
	return false
}

// errNegative: Kafka fails on fewer than no bytes.
var errNegative = Fail(frame.UnknownServerError, "api: fewer than no bytes are asked for")

// refuseNegative refuses what asks for fewer than no bytes.
func (s *fetchCall) refuseNegative() {
	for i := range s.read.Parts {
		if p := &s.read.Parts[i]; p.Partition != nil && (s.req.MaxBytes < 0 || p.MaxBytes < 0) {
			s.refuse(i, errNegative)
		}
	}
}

// replyFault answers with an error of the whole request: since version 13 only
// in the one place for it, before that in each partition the request names, too.
func (s *fetchCall) replyFault(code frame.ErrorCode) {
	c := s.c
	topics := s.req.Topics
	if c.Version >= 13 {
		topics = nil
	}
	c.Begin()
	c.Out = frame.AppendFetchBegin(c.Out, c.Version, 0, code, s.req.SessionID, len(topics))
	for t := range topics {
		topic := &topics[t]
		c.Out = frame.AppendFetchTopic(c.Out, c.Version, topic.Name, topic.ID, topic.End-topic.First)
		for i := topic.First; i < topic.End; i++ {
			r := frame.FetchResult{Index: s.req.Parts[i].Index, Code: code, HighWatermark: -1, LastStable: -1, LogStart: -1, Records: -1,
				DivergingEpoch: -1, DivergingEnd: -1, Leader: -1}
			c.Out = r.AppendTo(c.Out, c.Version)
			c.Out = r.AppendEnd(c.Out, c.Version)
		}
		c.Out = frame.AppendFetchTopicEnd(c.Out, c.Version)
	}
	c.Out = frame.AppendFetchEnd(c.Out, c.Version, nil)
	s.forget()
	c.Done()
}
