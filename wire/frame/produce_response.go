// SPDX-License-Identifier: Apache-2.0

package frame

// ProduceResponse is a Produce response of v0 to v11. Parts of all topics
// stand in one slice; a topic names its range.
//
//	v1  throttle time           v2  log append time
//	v5  log start offset        v8  record errors and a message
//	v9  flexible encoding       v10 current leader and node endpoints (KIP-951)
type ProduceResponse struct {
	Topics     []ProduceTopic
	Parts      []ProduceResult
	ThrottleMs int32
	// Nodes are the endpoints of leaders named in Parts (v10+).
	Nodes []Node
}

// ProduceResult is what became of one partition's batch.
type ProduceResult struct {
	Index int32
	Code  ErrorCode
	// Base is the offset of the first record, -1 on error.
	Base int64
	// AppendTimeMs is -1 unless the topic keeps log append time.
	AppendTimeMs int64
	LogStart     int64
	// RecordErrors and Message explain a refused batch (v8+); empty is null.
	RecordErrors []RecordError
	Message      string
	// Leader and LeaderEpoch tell a client that asked the wrong broker where
	// to go; left out when Leader is negative.
	Leader, LeaderEpoch int32
}

// RecordError names a record that made its batch be refused.
type RecordError struct {
	// Index is the record's place in the batch.
	Index int32
	// Message is null when empty.
	Message string
}

// Node is the address of a broker in the tagged fields of KIP-951.
type Node struct {
	ID   int32
	Host string
	Port int32
	Rack string
}

// AppendTo appends the response body in the encoding of version.
func (q *ProduceResponse) AppendTo(dst []byte, version int16) []byte {
	flex := version >= 9
	dst = appendCount(dst, len(q.Topics), flex)
	for i := range q.Topics {
		t := &q.Topics[i]
		dst = appendString(dst, t.Name, flex)
		dst = appendCount(dst, t.End-t.First, flex)
		for j := t.First; j < t.End; j++ {
			dst = q.Parts[j].appendTo(dst, version, flex)
		}
		dst = appendEnd(dst, flex)
	}
	if version >= 1 {
		dst = appendInt32(dst, q.ThrottleMs)
	}
	if !flex {
		return dst
	}
	if version < 10 {
		return append(dst, 0)
	}
	return appendNodes(dst, q.Nodes)
}

func (p *ProduceResult) appendTo(dst []byte, version int16, flex bool) []byte {
	dst = appendInt32(dst, p.Index)
	dst = appendInt16(dst, int16(p.Code))
	dst = appendInt64(dst, p.Base)
	if version >= 2 {
		dst = appendInt64(dst, p.AppendTimeMs)
	}
	if version >= 5 {
		dst = appendInt64(dst, p.LogStart)
	}
	if version >= 8 {
		dst = appendCount(dst, len(p.RecordErrors), flex)
		for i := range p.RecordErrors {
			dst = appendInt32(dst, p.RecordErrors[i].Index)
			dst = appendText(dst, p.RecordErrors[i].Message, flex)
			dst = appendEnd(dst, flex)
		}
		dst = appendText(dst, p.Message, flex)
	}
	if !flex {
		return dst
	}
	if version < 10 || p.Leader < 0 {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	return appendLeader(dst, 0, p.Leader, p.LeaderEpoch)
}

// Decode reads a response body, reusing q's slices; names are views of it.
func (q *ProduceResponse) Decode(version int16, body []byte) error {
	q.Topics, q.Parts, q.Nodes = q.Topics[:0], q.Parts[:0], q.Nodes[:0]
	if version < MinProduce || version > MaxProduce {
		return ErrUnsupportedVersion
	}
	flex := version >= 9
	r := NewReader(body)
	for n := r.Count(flex, 3); n > 0 && !r.bad; n-- {
		t := ProduceTopic{Name: r.String(flex), First: len(q.Parts)}
		for m := r.Count(flex, 14); m > 0 && !r.bad; m-- {
			if len(q.Parts) >= MaxPartitions {
				return ErrTooManyPartitions
			}
			q.Parts = append(q.Parts, ProduceResult{})
			q.Parts[len(q.Parts)-1].decode(&r, version, flex)
		}
		r.endStruct(flex)
		if len(q.Topics) >= MaxPartitions {
			return ErrTooManyPartitions
		}
		t.End = len(q.Parts)
		q.Topics = append(q.Topics, t)
	}
	q.ThrottleMs = 0
	if version >= 1 {
		q.ThrottleMs = r.Int32()
	}
	if flex {
		q.Nodes = r.nodeTags(q.Nodes)
	}
	return r.Err()
}

func (p *ProduceResult) decode(r *Reader, version int16, flex bool) {
	p.Index = r.Int32()
	p.Code = ErrorCode(r.Int16())
	p.Base = r.Int64()
	p.AppendTimeMs, p.LogStart, p.Leader, p.LeaderEpoch = -1, -1, -1, -1
	if version >= 2 {
		p.AppendTimeMs = r.Int64()
	}
	if version >= 5 {
		p.LogStart = r.Int64()
	}
	if version >= 8 {
		for k := r.Count(flex, 5); k > 0 && !r.bad; k-- {
			p.RecordErrors = append(p.RecordErrors, RecordError{r.Int32(), string(r.NullableString(flex))})
			r.endStruct(flex)
		}
		p.Message = string(r.NullableString(flex))
	}
	if !flex {
		return
	}
	for k := r.tagCount(); k > 0 && !r.bad; k-- {
		if tag, f := r.tag(); tag == 0 && version >= 10 {
			p.Leader, p.LeaderEpoch = r.leader(f)
		}
	}
}

// leader reads the body of a current-leader tagged field.
func (r *Reader) leader(field []byte) (id, epoch int32) {
	f := NewReader(field)
	id, epoch = f.Int32(), f.Int32()
	f.Tags()
	r.bad = r.bad || f.bad
	return id, epoch
}

// appendLeader appends a current-leader tagged field: two int32 and an empty
// tag section.
func appendLeader(dst []byte, tag uint32, id, epoch int32) []byte {
	dst = appendUvarint(dst, tag)
	dst = append(dst, 9)
	dst = appendInt32(dst, id)
	dst = appendInt32(dst, epoch)
	return append(dst, 0)
}

// appendNodes appends the last tag section of a response: node endpoints as
// tag 0, or nothing.
func appendNodes(dst []byte, nodes []Node) []byte {
	if len(nodes) == 0 {
		return append(dst, 0)
	}
	size := uvarintLen(uint32(len(nodes)) + 1)
	for i := range nodes {
		n := &nodes[i]
		size += 4 + uvarintLen(uint32(len(n.Host))+1) + len(n.Host) + 4 + 1 + 1
		if n.Rack != "" {
			size += uvarintLen(uint32(len(n.Rack))+1) - 1 + len(n.Rack)
		}
	}
	dst = append(dst, 1, 0)
	dst = appendUvarint(dst, uint32(size))
	dst = appendCount(dst, len(nodes), true)
	for i := range nodes {
		n := &nodes[i]
		dst = appendInt32(dst, n.ID)
		dst = appendString(dst, n.Host, true)
		dst = appendInt32(dst, n.Port)
		dst = appendText(dst, n.Rack, true)
		dst = append(dst, 0)
	}
	return dst
}

// nodeTags reads the last tag section of a response.
func (r *Reader) nodeTags(dst []Node) []Node {
	for k := r.tagCount(); k > 0 && !r.bad; k-- {
		tag, field := r.tag()
		if tag != 0 {
			continue
		}
		f := NewReader(field)
		for n := f.Count(true, 11); n > 0 && !f.bad; n-- {
			dst = append(dst, Node{f.Int32(), string(f.String(true)), f.Int32(), string(f.NullableString(true))})
			f.Tags()
		}
		r.bad = r.bad || f.bad
	}
	return dst
}

// appendText appends a nullable string, the empty one as null.
func appendText(dst []byte, s string, compact bool) []byte {
	if s == "" {
		return appendNullableString(dst, nil, compact)
	}
	return appendString(dst, s, compact)
}

func uvarintLen(v uint32) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
