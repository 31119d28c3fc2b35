// SPDX-License-Identifier: Apache-2.0

package frame

// AppendTo appends the request body in the encoding of version.
func (q *FetchRequest) AppendTo(dst []byte, version int16) []byte {
	flex := version >= 12
	if version < 15 {
		dst = appendInt32(dst, q.ReplicaID)
	}
	dst = appendInt32(dst, q.MaxWaitMs)
	dst = appendInt32(dst, q.MinBytes)
	if version >= 3 {
		dst = appendInt32(dst, q.MaxBytes)
	}
	if version >= 4 {
		dst = append(dst, byte(q.Isolation))
	}
	if version >= 7 {
		dst = appendInt32(dst, q.SessionID)
		dst = appendInt32(dst, q.SessionEpoch)
	}
	dst = appendCount(dst, len(q.Topics), flex)
	for i := range q.Topics {
		t := &q.Topics[i]
		dst = t.appendTo(dst, version, flex)
		for j := t.First; j < t.End; j++ {
			dst = q.Parts[j].appendTo(dst, version, flex)
		}
		dst = appendEnd(dst, flex)
	}
	if version >= 7 {
		dst = appendCount(dst, len(q.Forgotten), flex)
		for i := range q.Forgotten {
			t := &q.Forgotten[i]
			dst = t.appendTo(dst, version, flex)
			for _, p := range q.ForgottenParts[t.First:t.End] {
				dst = appendInt32(dst, p)
			}
			dst = appendEnd(dst, flex)
		}
	}
	if version >= 11 {
		dst = appendString(dst, q.Rack, flex)
	}
	if flex {
		dst = q.appendTags(dst, version)
	}
	return dst
}

// appendTo appends what names the topic and how many partitions follow.
func (t *FetchTopic) appendTo(dst []byte, version int16, flex bool) []byte {
	if version >= 13 {
		dst = append(dst, t.ID[:]...)
	} else {
		dst = appendString(dst, t.Name, flex)
	}
	return appendCount(dst, t.End-t.First, flex)
}

func (p *FetchPart) appendTo(dst []byte, version int16, flex bool) []byte {
	dst = appendInt32(dst, p.Index)
	if version >= 9 {
		dst = appendInt32(dst, p.LeaderEpoch)
	}
	dst = appendInt64(dst, p.Offset)
	if version >= 12 {
		dst = appendInt32(dst, p.LastFetchedEpoch)
	}
	if version >= 5 {
		dst = appendInt64(dst, p.LogStart)
	}
	dst = appendInt32(dst, p.MaxBytes)
	if version >= 17 && p.DirectoryID != [16]byte{} {
		dst = append(dst, 1, 0, 16)
		return append(dst, p.DirectoryID[:]...)
	}
	return appendEnd(dst, flex)
}

func (q *FetchRequest) appendTags(dst []byte, version int16) []byte {
	replica := version >= 15 && (q.ReplicaID != -1 || q.ReplicaEpoch != -1)
	count := byte(0)
	if q.ClusterID != nil {
		count++
	}
	if replica {
		count++
	}
	dst = append(dst, count)
	if q.ClusterID != nil {
		dst = append(dst, 0)
		dst = appendUvarint(dst, uint32(uvarintLen(uint32(len(q.ClusterID))+1)+len(q.ClusterID)))
		dst = appendString(dst, q.ClusterID, true)
	}
	if replica {
		dst = append(dst, 1, 13)
		dst = appendInt32(dst, q.ReplicaID)
		dst = appendInt64(dst, q.ReplicaEpoch)
		dst = append(dst, 0)
	}
	return dst
}
