// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/samsa-broker/samsa/controller/meta"
)

// The scripts in testdata/machine tell the machine what happened and show what it
// wants done. Commands:
//
//	load epoch=N [live=1,2]          then lines: TOPIC [deleting], and below each
//	                                 "  P replicas=1,2 leader=1 epoch=5 isr=1,2 version=7", or without state
//	step EVENT …                     see event
//	topics                           what clients may see
func TestMachine(t *testing.T) {
	datadriven.Walk(t, "testdata/machine", func(t *testing.T, path string) {
		m := NewMachine()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "load":
				m.Step(parseLoad(t, d))
				return "ok\n"
			case "step":
				return show(m.Step(parseEvent(t, d)))
			case "topics":
				return showTopics(m)
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ids(t *testing.T, s string) []meta.BrokerID {
	var out []meta.BrokerID
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) {
		out = append(out, meta.BrokerID(number(t, f)))
	}
	return out
}

func arg(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return strings.Join(a.Vals, ",")
		}
	}
	return ""
}

func fields(line string) map[string]string {
	out := map[string]string{}
	for _, f := range strings.Fields(line) {
		k, v, _ := strings.Cut(f, "=")
		out[k] = v
	}
	return out
}

func parseState(t *testing.T, f map[string]string) State {
	return State{Leader: meta.BrokerID(number(t, f["leader"])), LeaderEpoch: int32(number(t, f["epoch"])), ISR: ids(t, f["isr"])}
}

func parseLoad(t *testing.T, d *datadriven.TestData) Loaded {
	ev := Loaded{ControllerEpoch: int32(number(t, arg(d, "epoch")))}
	for _, b := range ids(t, arg(d, "live")) {
		ev.Live = append(ev.Live, BrokerStarted{Broker: b, Epoch: 1})
	}
	for _, line := range strings.Split(d.Input, "\n") {
		f := fields(line)
		if !strings.HasPrefix(line, " ") {
			if name, rest, _ := strings.Cut(line, " "); name != "" {
				ev.Topics = append(ev.Topics, LoadedTopic{Name: name, Deleting: rest == "deleting"})
			}
			continue
		}
		lp := LoadedPartition{Replicas: ids(t, f["replicas"])}
		if f["leader"] != "" {
			s := parseState(t, f)
			lp.State, lp.Version = &s, int32(number(t, f["version"]))
		}
		last := &ev.Topics[len(ev.Topics)-1]
		last.Partitions = append(last.Partitions, lp)
	}
	return ev
}

func partitionArg(t *testing.T, s string) meta.Partition {
	i := strings.LastIndexByte(s, '-')
	return meta.Partition{Topic: s[:i], Index: int32(number(t, s[i+1:]))}
}

// parseEvent understands: broker-started N, broker-failed N, topic-added T
// 1,2/2,3 (replicas of partition 0 / 1), partitions-added T 1/1, written P
// version=N, refused P leader= epoch= isr= version=, replica-failed P N,
// deletion-marked T, replica-deleted P N [failed], topic-removed T.
func parseEvent(t *testing.T, d *datadriven.TestData) Event {
	var words []string
	f := map[string]string{}
	for _, a := range d.CmdArgs {
		if len(a.Vals) > 0 {
			f[a.Key] = strings.Join(a.Vals, ",")
		} else {
			words = append(words, a.Key)
		}
	}
	var replicas [][]meta.BrokerID
	if strings.HasSuffix(words[0], "-added") {
		for _, p := range strings.Split(f["replicas"], "/") {
			replicas = append(replicas, ids(t, strings.ReplaceAll(p, "+", ",")))
		}
	}
	broker := func(i int) meta.BrokerID { return meta.BrokerID(number(t, words[i])) }
	switch words[0] {
	case "broker-started":
		return BrokerStarted{Broker: broker(1)}
	case "broker-failed":
		return BrokerFailed{broker(1)}
	case "topic-added":
		return TopicAdded{Name: words[1], Replicas: replicas}
	case "partitions-added":
		return PartitionsAdded{words[1], replicas}
	case "written":
		return StateWritten{partitionArg(t, words[1]), int32(number(t, f["version"]))}
	case "refused":
		return StateRefused{partitionArg(t, words[1]), parseState(t, f), int32(number(t, f["version"]))}
	case "replica-failed":
		return ReplicaFailed{partitionArg(t, words[1]), broker(2)}
	case "deletion-marked":
		return DeletionMarked{words[1]}
	case "replica-deleted":
		return ReplicaDeleted{partitionArg(t, words[1]), broker(2), len(words) > 3}
	case "topic-removed":
		return TopicRemoved{words[1]}
	}
	t.Fatalf("unknown event %v", words)
	return nil
}

func list(b []meta.BrokerID) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(b), " ", ","), "[]")
}

func show(effects []Effect) string {
	var b strings.Builder
	state := func(s State) string {
		return fmt.Sprintf("leader=%d epoch=%d isr=%s controller=%d", s.Leader, s.LeaderEpoch, list(s.ISR), s.ControllerEpoch)
	}
	for _, f := range effects {
		switch f := f.(type) {
		case WriteState:
			fmt.Fprintf(&b, "write %s %s if-version=%d\n", f.Partition, state(f.State), f.IfVersion)
		case Announce:
			fmt.Fprintf(&b, "announce %s to=%s %s version=%d new=%t\n", f.Partition, list(f.To), state(f.State), f.Version, f.New)
		case Forget:
			fmt.Fprintf(&b, "forget %s\n", f.Topic)
		case StopReplica:
			fmt.Fprintf(&b, "stop %s to=%d delete=%t\n", f.Partition, f.To, f.Delete)
		case RemoveTopic:
			fmt.Fprintf(&b, "remove %s\n", f.Topic)
		default:
			fmt.Fprintf(&b, "unknown effect %T\n", f)
		}
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}

func showTopics(m *Machine) string {
	var b strings.Builder
	for _, t := range m.sorted() {
		if t.deleting {
			fmt.Fprintf(&b, "%s is being deleted\n", t.name)
		}
		for i, p := range m.Partitions(t.name) {
			fmt.Fprintf(&b, "%s-%d leader=%d epoch=%d/%d isr=%s replicas=%s offline=%s\n", t.name, i, p.Leader, p.LeaderEpoch, p.PartitionEpoch, list(p.ISR), list(p.Replicas), list(p.Offline))
		}
	}
	return b.String()
}
