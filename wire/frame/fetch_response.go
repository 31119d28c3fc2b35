// SPDX-License-Identifier: Apache-2.0

package frame

// A Fetch response of v0 to v17 is appended piece by piece, because the record
// bytes between the pieces are never copied: they go from the file to the
// socket. In this order:
//
//	AppendFetchBegin
//	per topic:     AppendFetchTopic
//	per partition: FetchResult.AppendTo, the record bytes, FetchResult.AppendEnd
//	per topic:     AppendFetchTopicEnd
//	AppendFetchEnd

// FetchResult is the answer for one partition, but for its record bytes.
type FetchResult struct {
	Index         int32
	Code          ErrorCode
	HighWatermark int64
	LastStable    int64
	LogStart      int64
	// Aborted is written as null when nil.
	Aborted []AbortedTxn
	// Records is how many record bytes follow; -1 writes null.
	Records int
	// DivergingEpoch and DivergingEnd tell a follower where its log leaves the
	// leader's (v12+); left out when the epoch is negative.
	DivergingEpoch int32
	DivergingEnd   int64
	// Leader and LeaderEpoch name the current leader (v12+); left out when
	// Leader is negative.
	Leader, LeaderEpoch int32
}

// AbortedTxn is a transaction whose records from First on a reader of
// committed data must skip.
type AbortedTxn struct{ ProducerID, First int64 }

// AppendFetchBegin appends what stands before the topics.
func AppendFetchBegin(dst []byte, version int16, throttleMs int32, code ErrorCode, sessionID int32, topics int) []byte {
	if version >= 1 {
		dst = appendInt32(dst, throttleMs)
	}
	if version >= 7 {
		dst = appendInt16(dst, int16(code))
		dst = appendInt32(dst, sessionID)
	}
	return appendCount(dst, topics, version >= 12)
}

// AppendFetchTopic appends a topic's name (up to v12) or id, and how many
// partitions follow.
func AppendFetchTopic(dst []byte, version int16, name []byte, id [16]byte, parts int) []byte {
	t := FetchTopic{Name: name, ID: id, End: parts}
	return t.appendTo(dst, version, version >= 12)
}

// AppendTo appends the partition up to where its record bytes begin.
func (p *FetchResult) AppendTo(dst []byte, version int16) []byte {
	flex := version >= 12
	dst = appendInt32(dst, p.Index)
	dst = appendInt16(dst, int16(p.Code))
	dst = appendInt64(dst, p.HighWatermark)
	if version < 4 {
		return appendBytesLen(dst, p.Records, flex)
	}
	dst = appendInt64(dst, p.LastStable)
	if version >= 5 {
		dst = appendInt64(dst, p.LogStart)
	}
	if p.Aborted == nil {
		dst = appendBytesLen(dst, -1, flex)
	} else {
		dst = appendCount(dst, len(p.Aborted), flex)
		for _, a := range p.Aborted {
			dst = appendInt64(dst, a.ProducerID)
			dst = appendInt64(dst, a.First)
			dst = appendEnd(dst, flex)
		}
	}
	if version >= 11 {
		dst = appendInt32(dst, -1) // preferred read replica: none
	}
	return appendBytesLen(dst, p.Records, flex)
}

// AppendEnd appends what follows the record bytes.
func (p *FetchResult) AppendEnd(dst []byte, version int16) []byte {
	if version < 12 {
		return dst
	}
	count := byte(0)
	if p.DivergingEpoch >= 0 {
		count++
	}
	if p.Leader >= 0 {
		count++
	}
	dst = append(dst, count)
	if p.DivergingEpoch >= 0 {
		dst = append(dst, 0, 13)
		dst = appendInt32(dst, p.DivergingEpoch)
		dst = appendInt64(dst, p.DivergingEnd)
		dst = append(dst, 0)
	}
	if p.Leader >= 0 {
		dst = appendLeader(dst, 1, p.Leader, p.LeaderEpoch)
	}
	return dst
}

// AppendFetchTopicEnd ends a topic.
func AppendFetchTopicEnd(dst []byte, version int16) []byte { return appendEnd(dst, version >= 12) }

// AppendFetchEnd ends the response; nodes are the endpoints of leaders named
// in it (v16+).
func AppendFetchEnd(dst []byte, version int16, nodes []Node) []byte {
	if version < 12 {
		return dst
	}
	if version < 16 {
		nodes = nil
	}
	return appendNodes(dst, nodes)
}
