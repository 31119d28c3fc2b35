// SPDX-License-Identifier: Apache-2.0

package frame

// ProduceRequest is a decoded Produce request of v0 to v11. The partitions of
// all topics stand in one slice, in the order of the frame; a topic names its
// range. Everything is a view of the frame.
//
//	v0-2 hold message sets of magic 0 and 1
//	v3  transactional id, batches of format v2 only    v4-8  same layout
//	v9  flexible encoding                              v10-11  same layout
type ProduceRequest struct {
	// TransactionalID is nil when null.
	TransactionalID []byte
	Acks            int16
	TimeoutMs       int32
	Topics          []ProduceTopic
	Parts           []ProducePart
}

// ProduceTopic is a topic of a Produce request: Parts[First:End].
type ProduceTopic struct {
	Name       []byte
	First, End int
}

// ProducePart is one partition's records; nil Records means null.
type ProducePart struct {
	Index   int32
	Records []byte
}

// Decode reads a request body, reusing q's slices. On an error q holds nothing
// of use.
func (q *ProduceRequest) Decode(version int16, body []byte) error {
	q.Topics, q.Parts = q.Topics[:0], q.Parts[:0]
	if version < MinProduce || version > MaxProduce {
		return ErrUnsupportedVersion
	}
	flex := version >= 9
	r := NewReader(body)
	q.TransactionalID = nil
	if version >= 3 {
		q.TransactionalID = r.NullableString(flex)
	}
	q.Acks = r.Int16()
	q.TimeoutMs = r.Int32()
	minTopic, minPart := 6, 8
	if flex {
		minTopic, minPart = 3, 6
	}
	for n := r.Count(flex, minTopic); n > 0 && !r.bad; n-- {
		t := ProduceTopic{Name: r.String(flex), First: len(q.Parts)}
		for m := r.Count(flex, minPart); m > 0 && !r.bad; m-- {
			if len(q.Parts) >= MaxPartitions {
				return ErrTooManyPartitions
			}
			q.Parts = append(q.Parts, ProducePart{Index: r.Int32(), Records: r.NullableBytes(flex)})
			r.endStruct(flex)
		}
		r.endStruct(flex)
		if len(q.Topics) >= MaxPartitions {
			return ErrTooManyPartitions
		}
		t.End = len(q.Parts)
		q.Topics = append(q.Topics, t)
	}
	r.endStruct(flex)
	return r.Err()
}

// AppendTo appends the request body in the encoding of version.
func (q *ProduceRequest) AppendTo(dst []byte, version int16) []byte {
	flex := version >= 9
	if version >= 3 {
		dst = appendNullableString(dst, q.TransactionalID, flex)
	}
	dst = appendInt16(dst, q.Acks)
	dst = appendInt32(dst, q.TimeoutMs)
	dst = appendCount(dst, len(q.Topics), flex)
	for i := range q.Topics {
		t := &q.Topics[i]
		dst = appendString(dst, t.Name, flex)
		dst = appendCount(dst, t.End-t.First, flex)
		for _, p := range q.Parts[t.First:t.End] {
			dst = appendInt32(dst, p.Index)
			if p.Records == nil {
				dst = appendBytesLen(dst, -1, flex)
			} else {
				dst = appendBytesLen(dst, len(p.Records), flex)
			}
			dst = append(dst, p.Records...)
			dst = appendEnd(dst, flex)
		}
		dst = appendEnd(dst, flex)
	}
	return appendEnd(dst, flex)
}

// endStruct skips the tagged fields that end a structure in flexible versions.
func (r *Reader) endStruct(flex bool) {
	if flex {
		r.Tags()
	}
}

// appendEnd ends a structure that has no tagged field to say.
func appendEnd(dst []byte, flex bool) []byte {
	if flex {
		return append(dst, 0)
	}
	return dst
}
