// SPDX-License-Identifier: Apache-2.0

package frame

// FetchResponse is a decoded Fetch response of v0 to v17, for those who fetch:
// followers, load generators, tests. Everything is a view of the frame.
type FetchResponse struct {
	ThrottleMs int32
	Code       ErrorCode
	SessionID  int32
	Topics     []FetchTopic
	Parts      []FetchedPart
	Nodes      []Node
}

// FetchedPart is one partition's answer with its record bytes. The Records of
// the embedded result is their length, -1 for null.
type FetchedPart struct {
	FetchResult
	PreferredReplica int32
	Bytes            []byte
}

// Decode reads a response body, reusing q's slices.
func (q *FetchResponse) Decode(version int16, body []byte) error {
	*q = FetchResponse{Topics: q.Topics[:0], Parts: q.Parts[:0], Nodes: q.Nodes[:0]}
	if version < MinFetch || version > MaxFetch {
		return ErrUnsupportedVersion
	}
	flex := version >= 12
	r := NewReader(body)
	if version >= 1 {
		q.ThrottleMs = r.Int32()
	}
	if version >= 7 {
		q.Code = ErrorCode(r.Int16())
		q.SessionID = r.Int32()
	}
	for n := r.Count(flex, 3); n > 0 && !r.bad; n-- {
		t := r.topic(version, flex)
		t.First = len(q.Parts)
		for m := r.Count(flex, 18); m > 0 && !r.bad; m-- {
			if len(q.Parts) >= MaxPartitions {
				return ErrTooManyPartitions
			}
			q.Parts = append(q.Parts, FetchedPart{})
			q.Parts[len(q.Parts)-1].decode(&r, version, flex)
		}
		r.endStruct(flex)
		if len(q.Topics) >= MaxPartitions {
			return ErrTooManyPartitions
		}
		t.End = len(q.Parts)
		q.Topics = append(q.Topics, t)
	}
	if flex {
		q.Nodes = r.nodeTags(q.Nodes)
	}
	return r.Err()
}

func (p *FetchedPart) decode(r *Reader, version int16, flex bool) {
	p.Leader, p.LeaderEpoch, p.DivergingEpoch, p.DivergingEnd = -1, -1, -1, -1
	p.LogStart, p.PreferredReplica = -1, -1
	p.Index = r.Int32()
	p.Code = ErrorCode(r.Int16())
	p.HighWatermark, p.LastStable = r.Int64(), -1
	if version >= 4 {
		p.LastStable = r.Int64()
	}
	if version >= 5 {
		p.LogStart = r.Int64()
	}
	for k := r.abortedCount(version, flex); k > 0 && !r.bad; k-- {
		p.Aborted = append(p.Aborted, AbortedTxn{r.Int64(), r.Int64()})
		r.endStruct(flex)
	}
	if version >= 11 {
		p.PreferredReplica = r.Int32()
	}
	p.Bytes = r.NullableBytes(flex)
	if p.Records = len(p.Bytes); p.Bytes == nil {
		p.Records = -1
	}
	if !flex {
		return
	}
	for k := r.tagCount(); k > 0 && !r.bad; k-- {
		switch tag, f := r.tag(); tag {
		case 0:
			d := NewReader(f)
			p.DivergingEpoch, p.DivergingEnd = d.Int32(), d.Int64()
			d.Tags()
			r.bad = r.bad || d.bad
		case 1:
			p.Leader, p.LeaderEpoch = r.leader(f)
		}
	}
}

// abortedCount reads the length of the aborted transactions, which v4 added.
func (r *Reader) abortedCount(version int16, flex bool) int {
	if version < 4 {
		return 0
	}
	return r.NullableCount(flex, 16)
}
