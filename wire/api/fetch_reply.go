// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"

	"github.com/samsa-broker/samsa/wire/frame"
)

// reply encodes what was read. The record bytes go as spans between the bytes
// of the response and belong to the server from here on.
func (s *fetchCall) reply() {
	s.choose()
	sessionID := int32(0)
	if s.session != nil {
		sessionID = s.session.id
	}
	c := s.c
	c.Begin()
	c.Out = frame.AppendFetchBegin(c.Out, c.Version, 0, frame.None, sessionID, s.countTopics())
	for i := 0; i < len(s.parts); {
		if !s.parts[i].include {
			i++
			continue
		}
		i = s.replyTopic(i)
	}
	c.Out = frame.AppendFetchEnd(c.Out, c.Version, nil)
	s.forget()
	c.Done()
}

// replyCode answers with an error of the session.
func (s *fetchCall) replyCode(code frame.ErrorCode) {
	c := s.c
	c.Begin()
	c.Out = frame.AppendFetchBegin(c.Out, c.Version, 0, code, 0, 0)
	c.Out = frame.AppendFetchEnd(c.Out, c.Version, nil)
	c.Done()
}

// sameTopic tells whether two partitions go into one topic of the response.
func sameTopic(a, b *fetchPart) bool {
	return a.id == b.id && bytes.Equal(a.name, b.name)
}

// countTopics counts the runs of included partitions of one topic.
func (s *fetchCall) countTopics() int {
	n := 0
	var last *fetchPart
	for i := range s.parts {
		p := &s.parts[i]
		if p.include && (last == nil || !sameTopic(last, p)) {
			n++
		}
		if p.include {
			last = p
		}
	}
	return n
}

// replyTopic encodes the run of included partitions that begins at first, and
// returns where the next may begin.
func (s *fetchCall) replyTopic(first int) int {
	c := s.c
	head := &s.parts[first]
	n, end := 0, first
	for ; end < len(s.parts); end++ {
		if p := &s.parts[end]; p.include {
			if !sameTopic(head, p) {
				break
			}
			n++
		}
	}
	c.Out = frame.AppendFetchTopic(c.Out, c.Version, head.name, head.id, n)
	for i := first; i < end; i++ {
		if s.parts[i].include {
			s.replyPart(i)
		}
	}
	c.Out = frame.AppendFetchTopicEnd(c.Out, c.Version)
	return end
}

// replyPart encodes one partition around its spans.
func (s *fetchCall) replyPart(i int) {
	c, p := s.c, &s.read.Parts[i]
	r := frame.FetchResult{
		Index: s.parts[i].index, Code: s.code(p.Err),
		HighWatermark: int64(p.HighWatermark), LastStable: int64(p.LastStable), LogStart: int64(p.LogStart),
		DivergingEpoch: int32(p.DivergingEpoch), DivergingEnd: int64(p.DivergingEnd), Leader: -1, Records: p.Bytes,
	}
	if s.read.ReadCommitted && p.Err == nil {
		s.aborted = s.aborted[:0]
		for _, a := range p.Aborted {
			s.aborted = append(s.aborted, frame.AbortedTxn{ProducerID: a.ProducerID, First: int64(a.FirstOffset)})
		}
		r.Aborted = s.aborted
		if r.Aborted == nil {
			r.Aborted = none
		}
	}
	if c.Version < 4 && p.Bytes > 0 {
		r.Records = s.down[i].size
		c.Out = r.AppendTo(c.Out, c.Version)
		addDown(s.c, &s.down[i])
		return
	}
	c.Out = r.AppendTo(c.Out, c.Version)
	for k := range p.Spans {
		c.AddSpan(&p.Spans[k])
	}
	c.Out = r.AppendEnd(c.Out, c.Version)
}

// none is an empty list of aborted transactions, which is not null.
var none = []frame.AbortedTxn{}

// code is the error as this version of Fetch says it.
func (s *fetchCall) code(err error) frame.ErrorCode {
	code := Code(err)
	if code == frame.KafkaStorageError && s.c.Version <= 5 {
		return frame.NotLeaderOrFollower
	}
	return code
}

// keepFetchParts bounds what an idle call keeps of an unusually large request.
const keepFetchParts = 4096

// forget drops what an idle call should not keep alive. The parts' spans stay
// where they are until the server has sent them.
func (s *fetchCall) forget() {
	s.session = nil
	for i := range s.parts {
		s.parts[i].cached, s.parts[i].name = nil, nil
		s.read.Parts[i].Partition = nil
	}
	if cap(s.parts) > keepFetchParts {
		s.parts, s.read.Parts, s.names, s.down = nil, nil, nil, nil
		s.req = frame.FetchRequest{}
	}
}
