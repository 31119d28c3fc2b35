// SPDX-License-Identifier: Apache-2.0

package api

import "github.com/samsa-broker/samsa/wire/frame"

// enter finds the fetch's session, or makes one, or does without, and lays out
// the partitions to read.
func (s *fetchCall) enter() frame.ErrorCode {
	q, cache := &s.req, &s.f.sessions
	if s.c.Version < 7 {
		s.layRequest()
		return frame.None
	}
	nowMs := s.f.now().UnixMilli()
	byUUID := s.c.Version >= 13
	switch q.SessionEpoch {
	case sessionFinal, sessionInitial:
		if q.SessionID != 0 {
			cache.drop(q.SessionID)
		}
		s.layRequest()
		if q.SessionEpoch == sessionInitial {
			bytes := 0
			for t := range q.Topics {
				bytes += topicBytes(q.Topics[t].Name)
			}
			if s.session = cache.create(len(q.Parts), bytes, byUUID, nowMs); s.session != nil {
				s.remember()
			}
		}
		return frame.None
	}
	found := cache.find(q.SessionID, nowMs)
	if found == nil {
		return frame.FetchSessionIDNotFound
	}
	return s.update(found, byUUID)
}

// remember fills a new session with the partitions just laid out.
func (s *fetchCall) remember() {
	n := s.session
	n.mu.Lock()
	defer n.mu.Unlock()
	for t := range s.req.Topics {
		topic := &s.req.Topics[t]
		for i := topic.First; i < topic.End; i++ {
			p := n.put(topic.Name, topic.ID, s.req.Parts[i].Index)
			p.want(&s.req.Parts[i])
			s.parts[i].cached = p
		}
	}
}

// want takes over what the client asks for.
func (p *sessionPart) want(in *frame.FetchPart) {
	p.offset, p.epoch, p.last, p.maxBytes = in.Offset, in.LeaderEpoch, in.LastFetchedEpoch, in.MaxBytes
}

// update applies an incremental fetch to its session and lays out all its
// partitions.
func (s *fetchCall) update(n *session, byUUID bool) frame.ErrorCode {
	q := &s.req
	n.mu.Lock()
	switch {
	case n.epoch != q.SessionEpoch:
		n.mu.Unlock()
		return frame.InvalidFetchSessionEpoch
	case n.byUUID != byUUID:
		n.mu.Unlock()
		return frame.FetchSessionTopicIDError
	}
	for t := range q.Topics {
		topic := &q.Topics[t]
		for i := topic.First; i < topic.End; i++ {
			n.put(topic.Name, topic.ID, q.Parts[i].Index).want(&q.Parts[i])
		}
	}
	for t := range q.Forgotten {
		topic := &q.Forgotten[t]
		for _, index := range q.ForgottenParts[topic.First:topic.End] {
			n.forget(topic.Name, topic.ID, index)
		}
	}
	if n.epoch++; n.epoch < 0 || n.epoch == sessionEpochMax {
		n.epoch = 1
	}
	size, bytes := n.size, n.bytes
	s.layCached(n)
	n.mu.Unlock()
	switch {
	case size == 0: // nothing left: the session ends, this fetch goes without
		s.f.sessions.drop(n.id)
		return frame.None
	case len(q.Topics)+len(q.Forgotten) > 0 && !s.f.sessions.resize(n, size, bytes):
		return frame.FetchSessionIDNotFound
	}
	s.session, s.incremental = n, true
	return frame.None
}

// layCached lays out the session's partitions. Its mutex is held.
func (s *fetchCall) layCached(n *session) {
	s.grow(n.size)
	i := 0
	for p := n.head; p != nil; p = p.next {
		s.parts[i] = fetchPart{name: p.topic.name, id: p.topic.id, index: p.index, cached: p}
		s.lay(i, p.offset, p.epoch, p.last, p.maxBytes)
		i++
	}
}

// choose marks what goes into the answer and notes in the session what the
// client is told. An incremental answer holds what has bytes, an error, or
// another high watermark or log start than the client knows; partitions that
// gave bytes go to the end, so that all get their turn.
func (s *fetchCall) choose() {
	for i := range s.parts {
		s.parts[i].include = true
	}
	n := s.session
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range s.parts {
		at, r := &s.parts[i], &s.read.Parts[i]
		p := at.cached
		if p == nil {
			continue
		}
		hw, start := int64(r.HighWatermark), int64(r.LogStart)
		changed := r.Bytes > 0 || r.Err != nil || r.DivergingEpoch >= 0 || hw != p.hw || start != p.start
		at.include = changed || !s.incremental
		p.hw, p.start = hw, start
		if r.Err != nil {
			p.hw = -1
		}
		if r.Bytes > 0 && p.topic.parts[p.index] == p {
			n.unlink(p)
			n.push(p)
		}
	}
}
