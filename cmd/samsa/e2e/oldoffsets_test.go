// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitOld commits an offset of partition 0 in a version, and gives its error code.
func commitOld(t *testing.T, conn *Raw, version int16, group, topic string, offset int64) int16 {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = version, group, -1
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset, p.Metadata = offset, kmsg.StringPtr("note")
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	resp, err := conn.Call(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
}

// fetchOld gives the offset of partition 0 in a version and its error code.
func fetchOld(t *testing.T, conn *Raw, version int16, group, topic string) string {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = version, group
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{0}}}
	resp, err := conn.Call(req)
	if err != nil {
		t.Fatal(err)
	}
	answer := resp.(*kmsg.OffsetFetchResponse)
	if answer.ErrorCode != 0 || len(answer.Topics) != 1 {
		return fmt.Sprintf("group error %d", answer.ErrorCode)
	}
	p := answer.Topics[0].Partitions[0]
	return fmt.Sprintf("%d, error %d", p.Offset, p.ErrorCode)
}

// What version 0 of OffsetCommit stores, only version 0 of OffsetFetch finds, and
// the other way round; once answered it outlives any end of the broker and, as
// with Kafka, the topic it is about.
func TestOffsetsOfVersionZero(t *testing.T) {
	for how, restart := range restarts {
		t.Run(how, func(t *testing.T) {
			b := Start(t, Options{})
			CreateTopic(t, b.Addr, "old", 1, nil)
			conn := Dial(t, b.Addr)
			same := func(what string, version int16, group, want string) {
				t.Helper()
				if got := fetchOld(t, conn, version, group, "old"); got != want {
					t.Errorf("%s, v%d: %s, want %s", what, version, got, want)
				}
			}
			Eventually(t, ReadyWithin, func() error { // the coordinator's topic is made on demand
				find := kmsg.NewPtrFindCoordinatorRequest()
				find.CoordinatorKey = "g"
				if _, err := conn.Call(find); err != nil {
					return err
				}
				if code := commitOld(t, conn, 2, "g", "old", 20); code != 0 {
					return fmt.Errorf("commit: error %d", code)
				}
				return nil
			})
			same("a group that never committed", 0, "nobody", "-1, error 3")
			same("what version 2 committed", 0, "g", "-1, error 3")
			for offset := range int64(8) {
				if code := commitOld(t, conn, 0, "g", "old", offset); code != 0 {
					t.Fatalf("commit: error %d", code)
				}
			}
			if code := commitOld(t, conn, 0, "g", "no-such", 1); code != 3 {
				t.Errorf("commit of an unknown topic: error %d", code)
			}
			if code := commitOld(t, conn, 0, "..", "old", 1); code != -1 {
				t.Errorf("commit of a group that has no path: error %d", code)
			}
			both := func(when string) {
				t.Helper()
				same(when, 0, "g", "7, error 0")
				same(when, 1, "g", "20, error 0")
				same(when, 7, "g", "20, error 0")
			}
			both("at once")
			b = restart(b)
			conn = Dial(t, b.Addr)
			Eventually(t, ReadyWithin, func() error { // the groups are read
				if got := fetchOld(t, conn, 7, "g", "old"); got != "20, error 0" {
					return fmt.Errorf("v7: %s", got)
				}
				return nil
			})
			both("after " + how)

			adm := kadm.NewClient(Client(t, b.Addr))
			if _, err := adm.DeleteTopics(context.Background(), "old"); err != nil {
				t.Fatal(err)
			}
			same("without the topic", 0, "g", "-1, error 3")
			CreateTopic(t, b.Addr, "old", 1, nil)
			same("of the topic's successor", 0, "g", "7, error 0")
		})
	}
}
