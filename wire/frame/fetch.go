// SPDX-License-Identifier: Apache-2.0

package frame

// FetchRequest is a decoded Fetch request of v0 to v17. The partitions of all
// topics stand in one slice, in the order of the frame; a topic names its
// range. Byte slices are views of the frame.
//
//	v3  max bytes of the whole response
//	v4  isolation level           v5  log start offset of a follower
//	v7  fetch sessions (KIP-227)  v9  current leader epoch    v11 rack (KIP-392)
//	v12 flexible, last fetched epoch (KIP-595)               v13 topic ids (KIP-516)
//	v15 replica id moves into a tagged field (KIP-903)
//	v17 replica directory id (KIP-853)
type FetchRequest struct {
	// ClusterID is nil when null or absent.
	ClusterID []byte
	// ReplicaID is -1 for consumers; ReplicaEpoch is -1 where absent.
	ReplicaID               int32
	ReplicaEpoch            int64
	MaxWaitMs               int32
	MinBytes, MaxBytes      int32
	Isolation               int8
	SessionID, SessionEpoch int32
	Topics                  []FetchTopic
	Parts                   []FetchPart
	// Forgotten topics name ranges of ForgottenParts.
	Forgotten      []FetchTopic
	ForgottenParts []int32
	Rack           []byte
}

// FetchTopic is a topic of a Fetch request by Name up to v12, by ID from v13.
type FetchTopic struct {
	Name       []byte
	ID         [16]byte
	First, End int
}

// FetchPart asks for the records of one partition from Offset.
type FetchPart struct {
	Index int32
	// LeaderEpoch and LastFetchedEpoch are -1 where unknown or absent.
	LeaderEpoch      int32
	Offset           int64
	LastFetchedEpoch int32
	LogStart         int64
	MaxBytes         int32
	DirectoryID      [16]byte
}

// Isolation levels of a Fetch or ListOffsets request.
const (
	ReadUncommitted = 0
	ReadCommitted   = 1
)

// reset empties q for a decode and sets what older versions leave out.
func (q *FetchRequest) reset() {
	*q = FetchRequest{
		ReplicaID: -1, ReplicaEpoch: -1, SessionEpoch: -1, MaxBytes: 1<<31 - 1,
		Topics: q.Topics[:0], Parts: q.Parts[:0], Forgotten: q.Forgotten[:0], ForgottenParts: q.ForgottenParts[:0],
	}
}

// Decode reads a request body, reusing q's slices. On an error q holds nothing
// of use.
func (q *FetchRequest) Decode(version int16, body []byte) error {
	q.reset()
	if version < MinFetch || version > MaxFetch {
		return ErrUnsupportedVersion
	}
	flex := version >= 12
	r := NewReader(body)
	if version < 15 {
		q.ReplicaID = r.Int32()
	}
	q.MaxWaitMs, q.MinBytes = r.Int32(), r.Int32()
	if version >= 3 {
		q.MaxBytes = r.Int32()
	}
	if version >= 4 {
		q.Isolation = r.Int8()
	}
	if version >= 7 {
		q.SessionID, q.SessionEpoch = r.Int32(), r.Int32()
	}
	if err := q.topics(&r, version, flex); err != nil {
		return err
	}
	if version >= 7 {
		if err := q.forgotten(&r, version, flex); err != nil {
			return err
		}
	}
	if version >= 11 {
		q.Rack = r.String(flex)
	}
	if flex {
		q.tags(&r, version)
	}
	return r.Err()
}

// topic reads what names a topic.
func (r *Reader) topic(version int16, flex bool) (t FetchTopic) {
	if version >= 13 {
		t.ID = r.UUID()
	} else {
		t.Name = r.String(flex)
	}
	return t
}

func (q *FetchRequest) topics(r *Reader, version int16, flex bool) error {
	for n := r.Count(flex, 3); n > 0 && !r.bad; n-- {
		t := r.topic(version, flex)
		t.First = len(q.Parts)
		for m := r.Count(flex, 16); m > 0 && !r.bad; m-- {
			if len(q.Parts) >= MaxPartitions {
				return ErrTooManyPartitions
			}
			q.Parts = append(q.Parts, FetchPart{LeaderEpoch: -1, LastFetchedEpoch: -1, LogStart: -1})
			q.Parts[len(q.Parts)-1].decode(r, version, flex)
		}
		r.endStruct(flex)
		if len(q.Topics) >= MaxPartitions {
			return ErrTooManyPartitions
		}
		t.End = len(q.Parts)
		q.Topics = append(q.Topics, t)
	}
	return nil
}

func (p *FetchPart) decode(r *Reader, version int16, flex bool) {
	p.Index = r.Int32()
	if version >= 9 {
		p.LeaderEpoch = r.Int32()
	}
	p.Offset = r.Int64()
	if version >= 12 {
		p.LastFetchedEpoch = r.Int32()
	}
	if version >= 5 {
		p.LogStart = r.Int64()
	}
	p.MaxBytes = r.Int32()
	if !flex {
		return
	}
	for k := r.tagCount(); k > 0 && !r.bad; k-- {
		if tag, f := r.tag(); tag == 0 && version >= 17 {
			if len(f) != 16 {
				r.fail()
			}
			copy(p.DirectoryID[:], f)
		}
	}
}

func (q *FetchRequest) forgotten(r *Reader, version int16, flex bool) error {
	for n := r.Count(flex, 3); n > 0 && !r.bad; n-- {
		t := r.topic(version, flex)
		t.First = len(q.ForgottenParts)
		for m := r.Count(flex, 4); m > 0 && !r.bad; m-- {
			if len(q.ForgottenParts) >= MaxPartitions {
				return ErrTooManyPartitions
			}
			q.ForgottenParts = append(q.ForgottenParts, r.Int32())
		}
		r.endStruct(flex)
		if len(q.Forgotten) >= MaxPartitions {
			return ErrTooManyPartitions
		}
		t.End = len(q.ForgottenParts)
		q.Forgotten = append(q.Forgotten, t)
	}
	return nil
}

// tags reads the tagged fields of the request itself: cluster id (v12+) and
// replica state (v15+).
func (q *FetchRequest) tags(r *Reader, version int16) {
	for k := r.tagCount(); k > 0 && !r.bad; k-- {
		tag, field := r.tag()
		f := NewReader(field)
		switch {
		case tag == 0:
			q.ClusterID = f.NullableString(true)
		case tag == 1 && version >= 15:
			q.ReplicaID, q.ReplicaEpoch = f.Int32(), f.Int64()
			f.Tags()
		case tag == 1:
			r.bad = true // Kafka hangs up on a field that this version does not have yet
		}
		r.bad = r.bad || f.bad
	}
}
