// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
)

// oldTree is ZooKeeper's; no group named "broken" can be stored.
type oldTree map[string]int64

func (w oldTree) Store(group string, offsets []meta.ConsumerOffset) error {
	if group == "broken" {
		return meta.ErrGroupPath
	}
	for _, o := range offsets {
		w[group+" "+o.Partition.String()] = o.Offset
	}
	return nil
}

func (w oldTree) Load(group string, offsets []meta.ConsumerOffset) error {
	if group == "broken" {
		return meta.ErrStorage
	}
	for i := range offsets {
		stored, ok := w[group+" "+offsets[i].Partition.String()]
		if offsets[i].Offset = stored; !ok {
			offsets[i].Offset, offsets[i].Err = -1, meta.ErrNoOffset
		}
	}
	return nil
}

// committed commits offsets of topic t, by partition, and gives the codes.
func committed(w *groupWorld, v int16, group, metadata string, offsets ...int64) string {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = "t"
	for i := 0; i < len(offsets); i += 2 {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = int32(offsets[i]), offsets[i+1], &metadata
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	codes := ""
	for _, p := range w.ask(v, req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions {
		codes += fmt.Sprintf("%d:%d ", p.Partition, p.ErrorCode)
	}
	return codes
}

// fetched asks for partitions 0, 1 and 9 of topic t.
func fetched(w *groupWorld, v int16, group string) string {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.Topics = group, []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1, 9, 0}}}
	return fetchString(w.ask(v, req).(*kmsg.OffsetFetchResponse))
}

// What version 0 commits is kept apart from what the coordinator keeps, for any
// name of a group and whoever its members are; each version reads its own.
func TestVersionZeroKeepsOffsetsApart(t *testing.T) {
	w := newGroupWorld(t)
	say := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	nothing := "t-0=-1/-1//3 t-1=-1/-1//3 t-9=-1/-1//3 "
	say("a group never seen", fetched(w, 0, "g"), nothing)
	say("version 1", committed(w, 1, "g", "note", 0, 100), "0:0 ")
	say("a newer version's", fetched(w, 0, "g"), nothing)
	say("version 0", committed(w, 0, "g", "note", 1, 7, 9, 1, 1, 8), "9:3 1:0 1:0 ")
	say("its own", fetched(w, 0, "g"), "t-0=-1/-1//3 t-1=8/-1//0 t-9=-1/-1//3 ")
	say("of the other", fetched(w, 1, "g"), "t-0=100/-1/note/0 t-1=-1/-1//0 t-9=-1/-1//0 ")

	say("of no group", committed(w, 0, "", "", 0, -1), "0:0 ")
	say("a negative one", fetched(w, 0, ""), "t-0=-1/-1//0 t-1=-1/-1//3 t-9=-1/-1//3 ")
	say("a name that makes no path", committed(w, 0, "broken", "", 0, 1, 9, 1), "9:3 0:-1 ")
	say("a store that fails", fetched(w, 0, "broken"), "t-0=-1/-1//56 t-1=-1/-1//56 t-9=-1/-1//3 ")
	say("ten characters in 20 units", committed(w, 0, "g", strings.Repeat("\U0001f600", 10), 0, 1), "0:12 ")
	say("ten units", committed(w, 0, "g", strings.Repeat("\u00e9", 10), 0, 1), "0:0 ")
}
