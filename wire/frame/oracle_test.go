// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The messages here are made and read by franz-go's kmsg, which shares no code
// with this package: what it wrote we must read and write back byte for byte,
// and what we write it must read, in every version.

func text(r *rand.Rand) string { return string(blob(r, r.IntN(20))) }

func blob(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return b
}

// records is null, empty, small or long enough for a two-byte varint length.
func records(r *rand.Rand) []byte {
	switch r.IntN(4) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return blob(r, r.IntN(100))
	}
	return blob(r, 100+r.IntN(20000))
}

func kmsgProduceRequest(r *rand.Rand, version int16) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version = version
	if r.IntN(2) == 0 {
		q.TransactionID = kmsg.StringPtr(text(r))
	}
	q.Acks, q.TimeoutMillis = int16(r.IntN(3)-1), r.Int32()
	for range r.IntN(4) {
		t := kmsg.NewProduceRequestTopic()
		t.Topic = text(r)
		for range r.IntN(4) {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition, p.Records = r.Int32(), records(r)
			t.Partitions = append(t.Partitions, p)
		}
		q.Topics = append(q.Topics, t)
	}
	return q
}

func TestProduceRequestAgainstKmsg(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q ProduceRequest
	for version := int16(MinProduce); version <= MaxProduce; version++ {
		for i := range 50 {
			k := kmsgProduceRequest(r, version)
			body := k.AppendTo(nil)
			if err := q.Decode(version, body); err != nil {
				t.Fatalf("v%d #%d: %v", version, i, err)
			}
			checkProduceRequest(t, k, &q)
			if back := q.AppendTo(nil, version); !bytes.Equal(back, body) {
				t.Fatalf("v%d #%d: encoded back\n%x, want\n%x", version, i, back, body)
			}
		}
	}
}

func checkProduceRequest(t *testing.T, k *kmsg.ProduceRequest, q *ProduceRequest) {
	t.Helper()
	if k.Version >= 3 && (k.TransactionID == nil) != (q.TransactionalID == nil) || (k.Version >= 3 && k.TransactionID != nil && *k.TransactionID != string(q.TransactionalID)) {
		t.Fatalf("v%d: transactional id %q", k.Version, q.TransactionalID)
	}
	if q.Acks != k.Acks || q.TimeoutMs != k.TimeoutMillis || len(q.Topics) != len(k.Topics) {
		t.Fatalf("v%d: %+v, want %+v", k.Version, q, k)
	}
	for i, kt := range k.Topics {
		qt := q.Topics[i]
		if string(qt.Name) != kt.Topic || qt.End-qt.First != len(kt.Partitions) {
			t.Fatalf("v%d topic %d: %+v", k.Version, i, qt)
		}
		for j, kp := range kt.Partitions {
			qp := q.Parts[qt.First+j]
			if qp.Index != kp.Partition || !bytes.Equal(qp.Records, kp.Records) || (qp.Records == nil) != (kp.Records == nil) {
				t.Fatalf("v%d topic %d part %d: %+v", k.Version, i, j, qp)
			}
		}
	}
}

func randomProduceResponse(r *rand.Rand) *ProduceResponse {
	q := &ProduceResponse{ThrottleMs: r.Int32()}
	for range r.IntN(4) {
		t := ProduceTopic{Name: []byte(text(r)), First: len(q.Parts)}
		for range r.IntN(4) {
			p := ProduceResult{Index: r.Int32(), Code: ErrorCode(r.IntN(100)), Base: r.Int64(), AppendTimeMs: r.Int64(), LogStart: r.Int64(), Message: text(r), Leader: -1, LeaderEpoch: -1}
			for range r.IntN(3) {
				p.RecordErrors = append(p.RecordErrors, RecordError{r.Int32(), text(r)})
			}
			if r.IntN(3) == 0 {
				p.Leader, p.LeaderEpoch = int32(r.IntN(9)), r.Int32()
			}
			q.Parts = append(q.Parts, p)
		}
		t.End = len(q.Parts)
		q.Topics = append(q.Topics, t)
	}
	for range r.IntN(3) {
		q.Nodes = append(q.Nodes, Node{r.Int32(), text(r), r.Int32(), text(r)})
	}
	return q
}

func TestProduceResponseAgainstKmsg(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for version := int16(MinProduce); version <= MaxProduce; version++ {
		for i := range 50 {
			q := randomProduceResponse(r)
			body := q.AppendTo(nil, version)
			k := kmsg.NewPtrProduceResponse()
			k.Version = version
			if err := k.ReadFrom(body); err != nil {
				t.Fatalf("v%d #%d: kmsg cannot read ours: %v", version, i, err)
			}
			if back := k.AppendTo(nil); !bytes.Equal(back, body) {
				t.Fatalf("v%d #%d: kmsg encodes\n%x, we\n%x", version, i, back, body)
			}
			checkProduceResponse(t, k, q)
			var again ProduceResponse
			if err := again.Decode(version, body); err != nil {
				t.Fatal(err)
			}
			if back := again.AppendTo(nil, version); !bytes.Equal(back, body) {
				t.Fatalf("v%d #%d: our decoder lost something", version, i)
			}
		}
	}
}

func checkProduceResponse(t *testing.T, k *kmsg.ProduceResponse, q *ProduceResponse) {
	t.Helper()
	for i, kt := range k.Topics {
		for j, kp := range kt.Partitions {
			p := q.Parts[q.Topics[i].First+j]
			if kt.Topic != string(q.Topics[i].Name) || kp.Partition != p.Index || kp.ErrorCode != int16(p.Code) || kp.BaseOffset != p.Base || k.Version >= 2 && kp.LogAppendTime != p.AppendTimeMs {
				t.Fatalf("v%d: kmsg read %+v, we wrote %+v", k.Version, kp, p)
			}
			if k.Version >= 8 && (len(kp.ErrorRecords) != len(p.RecordErrors) || (kp.ErrorMessage == nil) != (p.Message == "")) {
				t.Fatalf("v%d: kmsg read %+v, we wrote %+v", k.Version, kp, p)
			}
			if k.Version >= 10 && p.Leader >= 0 && (kp.CurrentLeader.LeaderID != p.Leader || kp.CurrentLeader.LeaderEpoch != p.LeaderEpoch) {
				t.Fatalf("v%d: leader %+v, we wrote %+v", k.Version, kp.CurrentLeader, p)
			}
		}
	}
	if k.Version >= 1 && k.ThrottleMillis != q.ThrottleMs || (k.Version >= 10 && fmt.Sprint(len(k.Brokers)) != fmt.Sprint(len(q.Nodes))) {
		t.Fatalf("v%d: %+v", k.Version, k)
	}
}

func kmsgFetchRequest(r *rand.Rand, version int16) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version = version
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.IsolationLevel = r.Int32(), r.Int32(), r.Int32(), int8(r.IntN(2))
	q.SessionID, q.SessionEpoch, q.Rack = r.Int32(), r.Int32(), text(r)
	if r.IntN(2) == 0 {
		q.ReplicaID = r.Int32()
		q.ReplicaState.ID, q.ReplicaState.Epoch = r.Int32(), r.Int64()
	}
	if r.IntN(2) == 0 {
		q.ClusterID = kmsg.StringPtr(text(r))
	}
	for range r.IntN(4) {
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = text(r), [16]byte(blob(r, 16))
		for range r.IntN(4) {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.LastFetchedEpoch = r.Int32(), r.Int32(), r.Int64(), r.Int32()
			p.LogStartOffset, p.PartitionMaxBytes = r.Int64(), r.Int32()
			if version >= 17 && r.IntN(2) == 0 {
				p.ReplicaDirectoryID = [16]byte(blob(r, 16))
			}
			t.Partitions = append(t.Partitions, p)
		}
		q.Topics = append(q.Topics, t)
	}
	for range r.IntN(3) {
		t := kmsg.NewFetchRequestForgottenTopic()
		t.Topic, t.TopicID = text(r), [16]byte(blob(r, 16))
		for range r.IntN(4) {
			t.Partitions = append(t.Partitions, r.Int32())
		}
		q.ForgottenTopics = append(q.ForgottenTopics, t)
	}
	return q
}

func TestFetchRequestAgainstKmsg(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var q FetchRequest
	for version := int16(MinFetch); version <= MaxFetch; version++ {
		for i := range 50 {
			k := kmsgFetchRequest(r, version)
			if version < 15 {
				k.ReplicaState = kmsg.NewFetchRequestReplicaState()
			}
			body := k.AppendTo(nil)
			if err := q.Decode(version, body); err != nil {
				t.Fatalf("v%d #%d: %v", version, i, err)
			}
			checkFetchRequest(t, k, &q)
			if back := q.AppendTo(nil, version); !bytes.Equal(back, body) {
				t.Fatalf("v%d #%d: encoded back\n%x, want\n%x", version, i, back, body)
			}
		}
	}
}

func checkFetchRequest(t *testing.T, k *kmsg.FetchRequest, q *FetchRequest) {
	t.Helper()
	replica := k.ReplicaID
	if k.Version >= 15 {
		replica = k.ReplicaState.ID
	}
	if q.ReplicaID != replica || q.MaxWaitMs != k.MaxWaitMillis || q.MinBytes != k.MinBytes || k.Version >= 3 && q.MaxBytes != k.MaxBytes || k.Version >= 4 && q.Isolation != k.IsolationLevel {
		t.Fatalf("v%d: %+v, want %+v", k.Version, q, k)
	}
	if k.Version >= 7 && (q.SessionID != k.SessionID || q.SessionEpoch != k.SessionEpoch || len(q.Forgotten) != len(k.ForgottenTopics)) {
		t.Fatalf("v%d: %+v, want %+v", k.Version, q, k)
	}
	for i, kt := range k.Topics {
		qt := q.Topics[i]
		if k.Version < 13 && string(qt.Name) != kt.Topic || k.Version >= 13 && qt.ID != kt.TopicID {
			t.Fatalf("v%d: topic %+v, want %+v", k.Version, qt, kt)
		}
		for j, kp := range kt.Partitions {
			p := q.Parts[qt.First+j]
			if p.Index != kp.Partition || p.Offset != kp.FetchOffset || p.MaxBytes != kp.PartitionMaxBytes ||
				k.Version >= 9 && p.LeaderEpoch != kp.CurrentLeaderEpoch || k.Version < 9 && p.LeaderEpoch != -1 ||
				k.Version >= 12 && p.LastFetchedEpoch != kp.LastFetchedEpoch || k.Version >= 17 && p.DirectoryID != kp.ReplicaDirectoryID {
				t.Fatalf("v%d: part %+v, want %+v", k.Version, p, kp)
			}
		}
	}
}

// appendFetch encodes a decoded response the way the broker does: piece by
// piece with the record bytes between.
func appendFetch(dst []byte, version int16, q *FetchResponse) []byte {
	dst = AppendFetchBegin(dst, version, q.ThrottleMs, q.Code, q.SessionID, len(q.Topics))
	for i := range q.Topics {
		t := &q.Topics[i]
		dst = AppendFetchTopic(dst, version, t.Name, t.ID, t.End-t.First)
		for j := t.First; j < t.End; j++ {
			p := &q.Parts[j]
			dst = p.AppendTo(dst, version)
			dst = append(dst, p.Bytes...)
			dst = p.AppendEnd(dst, version)
		}
		dst = AppendFetchTopicEnd(dst, version)
	}
	return AppendFetchEnd(dst, version, q.Nodes)
}

func randomFetchResponse(r *rand.Rand) *FetchResponse {
	q := &FetchResponse{ThrottleMs: r.Int32(), Code: ErrorCode(r.IntN(80)), SessionID: r.Int32()}
	for range r.IntN(4) {
		t := FetchTopic{Name: []byte(text(r)), ID: [16]byte(blob(r, 16)), First: len(q.Parts)}
		for range r.IntN(4) {
			var p FetchedPart
			p.Index, p.Code, p.HighWatermark, p.LastStable, p.LogStart = r.Int32(), ErrorCode(r.IntN(80)), r.Int64(), r.Int64(), r.Int64()
			p.DivergingEpoch, p.Leader = -1, -1
			if r.IntN(3) == 0 {
				p.DivergingEpoch, p.DivergingEnd = int32(r.IntN(9)), r.Int64()
			}
			if r.IntN(3) == 0 {
				p.Leader, p.LeaderEpoch = int32(r.IntN(9)), r.Int32()
			}
			for range r.IntN(3) {
				p.Aborted = append(p.Aborted, AbortedTxn{r.Int64(), r.Int64()})
			}
			p.Bytes = records(r)
			if p.Records = len(p.Bytes); p.Bytes == nil {
				p.Records = -1
			}
			q.Parts = append(q.Parts, p)
		}
		t.End = len(q.Parts)
		q.Topics = append(q.Topics, t)
	}
	for range r.IntN(3) {
		q.Nodes = append(q.Nodes, Node{r.Int32(), text(r), r.Int32(), text(r)})
	}
	return q
}

func TestFetchResponseAgainstKmsg(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for version := int16(MinFetch); version <= MaxFetch; version++ {
		for i := range 50 {
			q := randomFetchResponse(r)
			body := appendFetch(nil, version, q)
			k := kmsg.NewPtrFetchResponse()
			k.Version = version
			if err := k.ReadFrom(body); err != nil {
				t.Fatalf("v%d #%d: kmsg cannot read ours: %v", version, i, err)
			}
			checkFetchResponse(t, k, q)
			if back := k.AppendTo(nil); !bytes.Equal(back, body) {
				t.Fatalf("v%d #%d: kmsg encodes\n%x, we\n%x", version, i, back, body)
			}
			var again FetchResponse
			if err := again.Decode(version, body); err != nil {
				t.Fatal(err)
			}
			if back := appendFetch(nil, version, &again); !bytes.Equal(back, body) {
				t.Fatalf("v%d #%d: our decoder lost something", version, i)
			}
		}
	}
}

func checkFetchResponse(t *testing.T, k *kmsg.FetchResponse, q *FetchResponse) {
	t.Helper()
	if k.Version >= 7 && (k.ErrorCode != int16(q.Code) || k.SessionID != q.SessionID) || len(k.Topics) != len(q.Topics) {
		t.Fatalf("v%d: kmsg read %+v", k.Version, k)
	}
	for i, kt := range k.Topics {
		for j, kp := range kt.Partitions {
			p := q.Parts[q.Topics[i].First+j]
			if kp.Partition != p.Index || kp.ErrorCode != int16(p.Code) || kp.HighWatermark != p.HighWatermark || k.Version >= 4 && (kp.LastStableOffset != p.LastStable ||
				len(kp.AbortedTransactions) != len(p.Aborted)) || !bytes.Equal(kp.RecordBatches, p.Bytes) {
				t.Fatalf("v%d: kmsg read %+v, we wrote %+v", k.Version, kp, p)
			}
			if k.Version >= 12 && p.DivergingEpoch >= 0 && (kp.DivergingEpoch.Epoch != p.DivergingEpoch || kp.DivergingEpoch.EndOffset != p.DivergingEnd) {
				t.Fatalf("v%d: diverging epoch %+v, we wrote %+v", k.Version, kp.DivergingEpoch, p)
			}
		}
	}
}
