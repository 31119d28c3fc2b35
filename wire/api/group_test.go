// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/replica/group"
	"github.com/samsa-broker/samsa/wire/frame"
)

// groupWorld is a broker with one group coordinator, whose records are visible
// at once, and the topic t with two partitions.
type groupWorld struct {
	t       *testing.T
	m       *group.Machine
	now     int64
	asked   map[group.Ticket]func(group.Answer)
	ticket  group.Ticket
	image   *meta.Image
	created []string
	refuse  error // of AutoCreate
}

func newGroupWorld(t *testing.T) *groupWorld {
	o := group.DefaultOptions()
	o.InitialRebalanceDelayMs = 0
	w := &groupWorld{t: t, m: group.NewMachine(o, group.NewReplay(), 0), asked: map[group.Ticket]func(group.Answer){}}
	w.image = meta.NewImage("c", 1, []meta.Broker{{ID: 1, Endpoints: []meta.Endpoint{
		{Listener: "PLAINTEXT", Host: "outside", Port: 9092}, {Listener: "INTERNAL", Host: "inside", Port: 9093},
	}}}).With(nil, &meta.Topic{Name: "t", ID: meta.NewTopicID(), Partitions: make([]meta.State, 2)})
	return w
}

// Load, AutoCreate and Ask make the world what the handlers need.
func (w *groupWorld) Load() *meta.Image { return w.image }

func (w *groupWorld) AutoCreate(name string) (*meta.Topic, error) {
	w.created = append(w.created, name)
	if w.refuse != nil {
		return nil, w.refuse
	}
	topic := &meta.Topic{Name: name, ID: meta.NewTopicID(), Partitions: make([]meta.State, 50), Internal: true}
	for i := range topic.Partitions {
		topic.Partitions[i].Leader = 1
	}
	w.image = w.image.With(nil, topic)
	return topic, nil
}

func (w *groupWorld) Ask(r group.Request, home replica.Home, done func(group.Answer)) {
	w.ticket++
	w.asked[w.ticket] = func(a group.Answer) { home.Post(taskFunc(func() { done(a) })) }
	w.step(group.Asked{To: w.ticket, Request: r})
}

func (w *groupWorld) step(ev group.Event) {
	effects := append([]group.Effect(nil), w.m.Step(w.now, ev)...)
	for _, e := range effects {
		switch e := e.(type) {
		case group.Append:
			w.step(group.Written{Token: e.Token})
		case group.Reply:
			w.asked[e.To](e.Answer)
			delete(w.asked, e.To)
		}
	}
}

// groupCarrier is a connection that keeps its reply.
type groupCarrier struct{ done bool }

func (g *groupCarrier) Home() Home                     { return g }
func (g *groupCarrier) Post(t Task)                    { t.Run() }
func (g *groupCarrier) OnLoop() bool                   { return true }
func (g *groupCarrier) Placed()                        {}
func (g *groupCarrier) ReleaseFrame()                  {}
func (g *groupCarrier) Park(time.Duration, Task, Task) {}
func (g *groupCarrier) Unpark()                        {}
func (g *groupCarrier) Done()                          { g.done = true }
func (g *groupCarrier) Silent()                        {}
func (g *groupCarrier) Close(error)                    {}
func (g *groupCarrier) Go(t Task)                      { t.Run() }
func (g *groupCarrier) Now() int64                     { return 0 }

// pendingReply is a request that has been served and may have been answered.
type pendingReply struct {
	w       *groupWorld
	c       *Call
	carrier *groupCarrier
}

// send serves a request as it arrives: encoded at a version, and decoded again.
func (w *groupWorld) send(version int16, req kmsg.Request) *pendingReply {
	w.t.Helper()
	req.SetVersion(version)
	body := kmsg.RequestForKey(req.Key())
	body.SetVersion(version)
	if err := body.ReadFrom(req.AppendTo(nil)); err != nil {
		w.t.Fatalf("%T v%d: %v", req, version, err)
	}
	p := &pendingReply{w: w, c: &Call{}, carrier: &groupCarrier{}}
	p.c.Prepare(p.carrier, frame.Header{Key: req.Key(), Version: version, CorrelationID: 7})
	p.c.Body = body
	p.c.Client = Client{ID: "me", Host: netip.MustParseAddr("192.0.2.1"), Listener: "PLAINTEXT"}
	for _, h := range Handlers(Deps{Groups: w, Cluster: w, Creator: w}) {
		if h.Key == req.Key() {
			if version < h.Min || version > h.Max {
				w.t.Fatalf("%T v%d is not served", req, version)
			}
			h.Serve(p.c)
			return p
		}
	}
	w.t.Fatalf("nobody serves %T", req)
	return nil
}

// reply decodes the answer, which must be there and nothing behind it.
func (p *pendingReply) reply() kmsg.Response {
	p.w.t.Helper()
	if !p.carrier.done {
		p.w.t.Fatalf("%T v%d was not answered", p.c.Body, p.c.Version)
	}
	resp := p.c.Response()
	head := len(frame.AppendResponseHeader([]byte{0, 0, 0, 0}, p.c.Header))
	if err := resp.ReadFrom(p.c.Out[head:]); err != nil {
		p.w.t.Fatalf("%T v%d: %v", resp, p.c.Version, err)
	}
	if again := resp.AppendTo(p.c.Out[:head:head]); string(again) != string(p.c.Out) {
		p.w.t.Fatalf("%T v%d does not read as it was written", resp, p.c.Version)
	}
	return resp
}

func (w *groupWorld) ask(version int16, req kmsg.Request) kmsg.Response {
	w.t.Helper()
	return w.send(version, req).reply()
}

// atMost is the highest version of an API that does not exceed version.
func atMost(version, highest int16) int16 { return min(version, highest) }

// A member lives through a whole life at every version: joins, syncs, beats,
// commits, is described and listed, leaves, and its group is deleted.
func TestGroupLifeAtEveryVersion(t *testing.T) {
	for v := int16(0); v <= 9; v++ {
		t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) { groupLife(t, newGroupWorld(t), v) })
	}
}

func groupLife(t *testing.T, w *groupWorld, v int16) {
	check := func(what string, code int16, want frame.ErrorCode) {
		t.Helper()
		if frame.ErrorCode(code) != want {
			t.Fatalf("%s: %v, want %v", what, frame.ErrorCode(code), want)
		}
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "g", 10_000, 60_000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0, 0, 0, 0, 1, 0, 1, 't'}}}
	joined := w.ask(v, join).(*kmsg.JoinGroupResponse)
	if v >= 4 {
		check("first join", joined.ErrorCode, frame.MemberIDRequired)
		if !strings.HasPrefix(joined.MemberID, "me-") || len(joined.MemberID) != len("me-")+36 {
			t.Fatalf("member id %q", joined.MemberID)
		}
		join.MemberID = joined.MemberID
		joined = w.ask(v, join).(*kmsg.JoinGroupResponse)
	}
	check("join", joined.ErrorCode, frame.None)
	if joined.Generation != 1 || joined.LeaderID != joined.MemberID || len(joined.Members) != 1 || *joined.Protocol != "range" {
		t.Fatalf("joined: %+v", joined)
	}
	if v >= 7 && (joined.ProtocolType == nil || *joined.ProtocolType != "consumer") {
		t.Fatalf("protocol type %v", joined.ProtocolType)
	}
	member := joined.MemberID

	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = "g", member, 1
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: member, MemberAssignment: []byte("all")}}
	if v >= 5 {
		check("sync without protocol", w.ask(5, sync).(*kmsg.SyncGroupResponse).ErrorCode, frame.InconsistentGroupProtocol)
		sync.ProtocolType, sync.Protocol = joined.ProtocolType, joined.Protocol
		if sync.ProtocolType == nil {
			sync.ProtocolType = kmsg.StringPtr("consumer")
		}
	}
	synced := w.ask(atMost(v, 5), sync).(*kmsg.SyncGroupResponse)
	check("sync", synced.ErrorCode, frame.None)
	if string(synced.MemberAssignment) != "all" {
		t.Fatalf("assigned %q", synced.MemberAssignment)
	}

	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = "g", member, 1
	check("heartbeat", w.ask(atMost(v, 4), beat).(*kmsg.HeartbeatResponse).ErrorCode, frame.None)
	beat.Generation = 2
	check("heartbeat of tomorrow", w.ask(atMost(v, 4), beat).(*kmsg.HeartbeatResponse).ErrorCode, frame.IllegalGeneration)

	groupOffsets(t, w, v, member)
	groupAdmin(t, w, v, member)
}

// groupOffsets commits, fetches and deletes offsets.
func groupOffsets(t *testing.T, w *groupWorld, v int16, member string) {
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.MemberID, commit.Generation = "g", member, 1
	topic := func(name string, partitions ...int32) kmsg.OffsetCommitRequestTopic {
		out := kmsg.NewOffsetCommitRequestTopic()
		out.Topic = name
		for _, p := range partitions {
			one := kmsg.NewOffsetCommitRequestTopicPartition()
			one.Partition, one.Offset, one.LeaderEpoch, one.Metadata = p, int64(100+p), 4, kmsg.StringPtr("note")
			out.Partitions = append(out.Partitions, one)
		}
		return out
	}
	commit.Topics = append(commit.Topics, topic("nowhere", 0), topic("t", 0, 9, 1))
	committed := w.ask(v, commit).(*kmsg.OffsetCommitResponse)
	codes := ""
	for _, t := range committed.Topics {
		for _, p := range t.Partitions {
			codes += fmt.Sprintf("%s-%d:%d ", t.Topic, p.Partition, p.ErrorCode)
		}
	}
	want := "nowhere-0:3 t-9:3 t-0:0 t-1:0 " // as in Kafka: first what is not there
	if v == 0 {                              // it says nothing of who commits, and the group has members
		want = "nowhere-0:3 t-9:3 t-0:25 t-1:25 "
	}
	if codes != want {
		t.Fatalf("commit: %s, want %s", codes, want)
	}
	if v == 0 {
		commit.Topics = commit.Topics[1:]
		w.ask(1, commit) // so that the rest has something to find
	}

	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Group, fetch.Topics = "g", []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{1, 0, 7}}}
	fetch.Groups = []kmsg.OffsetFetchRequestGroup{
		{Group: "g", Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{1, 0, 7}}}},
		{Group: "g", Topics: nil}, {Group: "other", Topics: nil},
	}
	got := fetchString(w.ask(v, fetch).(*kmsg.OffsetFetchResponse))
	epoch := int32(-1)
	if v >= 6 { // below, the commit had none
		epoch = 4
	}
	one := fmt.Sprintf("t-1=101/%d/note/0 t-0=100/%d/note/0 t-7=-1/-1//0 ", epoch, epoch)
	switch {
	case v == 0:
		want = strings.ReplaceAll(strings.Replace(one, "t-7=-1/-1//0", "t-7=-1/-1//3", 1), "note", "")
	case v < 8:
		want = one
	default:
		want = "g(0): " + one + "g(0): t-0=100/4/note/0 t-1=101/4/note/0 other(0): "
	}
	if got != want {
		t.Fatalf("fetch: %s, want %s", got, want)
	}
	if v >= 2 && v < 8 {
		fetch.Topics = nil
		if got := fetchString(w.ask(v, fetch).(*kmsg.OffsetFetchResponse)); strings.Count(got, "=") != 2 {
			t.Fatalf("fetch of all: %s", got)
		}
	}

	del := kmsg.NewPtrOffsetDeleteRequest()
	del.Group = "g"
	del.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}, {Partition: 9}}}}
	deleted := w.ask(0, del).(*kmsg.OffsetDeleteResponse)
	if c := deleted.Topics[0].Partitions[0].ErrorCode; deleted.ErrorCode != 0 || c != int16(frame.GroupSubscribedToTopic) {
		t.Fatalf("delete of a subscribed topic's offset: %+v", deleted)
	}
	if c := deleted.Topics[0].Partitions[1].ErrorCode; c != int16(frame.UnknownTopicOrPartition) {
		t.Fatalf("delete of no partition's offset: %d", c)
	}
	del.Group = "nobody's"
	if deleted := w.ask(0, del).(*kmsg.OffsetDeleteResponse); deleted.ErrorCode != int16(frame.GroupIDNotFound) || len(deleted.Topics) != 0 {
		t.Fatalf("delete in no group: %+v", deleted)
	}
}

// Kafka makes a path in ZooKeeper of the group in version 0, and there is none
// for a group without a name.
func TestOffsetsOfNoGroupInVersion0(t *testing.T) {
	w := newGroupWorld(t)
	commit := kmsg.NewPtrOffsetCommitRequest()
	parts := []kmsg.OffsetCommitRequestTopicPartition{{Partition: 0}, {Partition: 9}}
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: parts}}
	codes := map[int32]int16{}
	for _, p := range w.ask(0, commit).(*kmsg.OffsetCommitResponse).Topics[0].Partitions {
		codes[p.Partition] = p.ErrorCode
	}
	if codes[0] != -1 || codes[9] != 3 {
		t.Errorf("commit: %v", codes)
	}
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 9}}}
	if got := fetchString(w.ask(0, fetch).(*kmsg.OffsetFetchResponse)); got != "t-0=-1/-1//-1 t-9=-1/-1//3 " {
		t.Errorf("fetch: %s", got)
	}
}

func fetchString(r *kmsg.OffsetFetchResponse) string {
	s := ""
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			s += fmt.Sprintf("%s-%d=%d/%d/%s/%d ", t.Topic, p.Partition, p.Offset, p.LeaderEpoch, *p.Metadata, p.ErrorCode)
		}
	}
	for _, g := range r.Groups {
		s += fmt.Sprintf("%s(%d): ", g.Group, g.ErrorCode)
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				s += fmt.Sprintf("%s-%d=%d/%d/%s/%d ", t.Topic, p.Partition, p.Offset, p.LeaderEpoch, *p.Metadata, p.ErrorCode)
			}
		}
	}
	return s
}

// groupAdmin describes, lists, leaves and deletes.
func groupAdmin(t *testing.T, w *groupWorld, v int16, member string) {
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups, describe.IncludeAuthorizedOperations = []string{"g", "other"}, true
	d := w.ask(atMost(v, 5), describe).(*kmsg.DescribeGroupsResponse)
	g := d.Groups[0]
	if g.State != "Stable" || g.Protocol != "range" || len(g.Members) != 1 || g.Members[0].ClientHost != "/192.0.2.1" ||
		g.Members[0].ClientID != "me" || string(g.Members[0].MemberAssignment) != "all" {
		t.Fatalf("described: %+v", g)
	}
	if v >= 3 && g.AuthorizedOperations != 328 {
		t.Fatalf("authorized operations %d", g.AuthorizedOperations)
	}
	if o := d.Groups[1]; o.State != "Dead" || o.ErrorCode != 0 {
		t.Fatalf("described: %+v", o)
	}

	list := kmsg.NewPtrListGroupsRequest()
	if v >= 4 {
		list.StatesFilter = []string{"stable", "Empty"}
	}
	l := w.ask(atMost(v, 5), list).(*kmsg.ListGroupsResponse)
	if len(l.Groups) != 1 || l.Groups[0].Group != "g" || v >= 4 && l.Groups[0].GroupState != "Stable" || v >= 5 && l.Groups[0].GroupType != "classic" {
		t.Fatalf("listed: %+v", l)
	}

	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"g", "other", "g"}
	codes := func() (s string) {
		for _, g := range w.ask(atMost(v, 2), del).(*kmsg.DeleteGroupsResponse).Groups {
			s += fmt.Sprintf("%s:%d ", g.Group, g.ErrorCode)
		}
		return s
	}
	if got := codes(); got != "g:68 other:69 " {
		t.Fatalf("deleted with members: %s", got)
	}

	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = "g", "stranger"
	leave.Members = []kmsg.LeaveGroupRequestMember{{MemberID: "stranger"}, {MemberID: member, Reason: kmsg.StringPtr("enough")}}
	left := w.ask(atMost(v, 5), leave).(*kmsg.LeaveGroupResponse)
	if v < 3 {
		if left.ErrorCode != int16(frame.UnknownMemberID) {
			t.Fatalf("a stranger left: %+v", left)
		}
		leave.MemberID = member
		left = w.ask(atMost(v, 5), leave).(*kmsg.LeaveGroupResponse)
	} else if left.Members[0].ErrorCode != int16(frame.UnknownMemberID) || left.Members[1].ErrorCode != 0 || left.Members[1].MemberID != member {
		t.Fatalf("left: %+v", left)
	}
	if left.ErrorCode != 0 {
		t.Fatalf("left: %+v", left)
	}
	if got := codes(); got != "g:0 other:69 " {
		t.Fatalf("deleted: %s", got)
	}
}

// A static leader comes back: since v9 it learns that it leads but need not assign.
func TestJoinGroupSkipsAssignment(t *testing.T) {
	for _, v := range []int16{5, 8, 9} {
		w := newGroupWorld(t)
		join := kmsg.NewPtrJoinGroupRequest()
		join.Group, join.InstanceID, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "g", kmsg.StringPtr("one"), 10_000, 60_000, "consumer"
		join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
		first := w.ask(v, join).(*kmsg.JoinGroupResponse)
		if !strings.HasPrefix(first.MemberID, "one-") || first.ErrorCode != 0 {
			t.Fatalf("v%d: %+v", v, first)
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation, sync.InstanceID = "g", first.MemberID, 1, join.InstanceID
		w.ask(4, sync)
		again := w.ask(v, join).(*kmsg.JoinGroupResponse)
		leads := again.LeaderID == again.MemberID
		if again.ErrorCode != 0 || again.Generation != 1 || again.SkipAssignment != (v >= 9) || leads != (v >= 9) {
			t.Fatalf("v%d: %+v", v, again)
		}
	}
}

// A Join waits until the rebalance completes, and is answered then.
func TestJoinGroupWaits(t *testing.T) {
	w := newGroupWorld(t)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "g", 10_000, 5_000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	first := w.ask(3, join).(*kmsg.JoinGroupResponse)
	second := w.send(3, join)
	if second.carrier.done {
		t.Fatal("answered before the first member joined again")
	}
	join.MemberID = first.MemberID
	w.ask(3, join)
	if r := second.reply().(*kmsg.JoinGroupResponse); r.Generation != 2 || r.LeaderID != first.MemberID || len(r.Members) != 0 {
		t.Fatalf("%+v", r)
	}
}

// The internal topic is made when it is first asked for, and the coordinator
// named as the client's listener reaches it.
func TestFindCoordinator(t *testing.T) {
	for v := int16(0); v <= 6; v++ {
		w := newGroupWorld(t)
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKey, find.CoordinatorKeys = "g", []string{"g", "h"}
		codes := func() (s string) {
			r := w.ask(v, find).(*kmsg.FindCoordinatorResponse)
			if v < 4 {
				return fmt.Sprintf("%d@%d/%s:%d ", r.ErrorCode, r.NodeID, r.Host, r.Port)
			}
			for _, c := range r.Coordinators {
				s += fmt.Sprintf("%s=%d@%d/%s:%d ", c.Key, c.ErrorCode, c.NodeID, c.Host, c.Port)
			}
			return s
		}
		w.refuse = errors.New("not now")
		unavailable, found := "15@-1/:-1 ", "0@1/outside:9092 "
		if v >= 4 {
			unavailable, found = "g="+unavailable+"h="+unavailable, "g="+found+"h="+found
		}
		if got := codes(); got != unavailable {
			t.Errorf("v%d, the topic cannot be made: %s", v, got)
		}
		w.refuse = nil
		if got := codes(); got != found || len(w.created) != 2 || w.created[1] != meta.OffsetsTopic {
			t.Errorf("v%d: %s, created %v", v, got, w.created)
		}
		if got := codes(); got != found || len(w.created) != 2 {
			t.Errorf("v%d, again: %s, created %v", v, got, w.created)
		}
		if v == 0 {
			continue
		}
		find.CoordinatorType = coordinatorTransaction
		if got := codes(); got != unavailable {
			t.Errorf("v%d, a transaction's: %s", v, got)
		}
		find.CoordinatorType = coordinatorShare
		if got := codes(); (v == 6) != (got == unavailable) || !strings.Contains(got, "@-1/") {
			t.Errorf("v%d, a share group's: %s", v, got)
		}
	}
}

// A commit with nothing in it that exists never reaches the coordinator.
func TestOffsetCommitOfNothing(t *testing.T) {
	w := newGroupWorld(t)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group = "g"
	if r := w.ask(9, commit).(*kmsg.OffsetCommitResponse); len(r.Topics) != 0 || w.ticket != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestJavaAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "/192.0.2.1", "::ffff:192.0.2.1": "/192.0.2.1", "::1": "/0:0:0:0:0:0:0:1", "2001:db8::a": "/2001:db8:0:0:0:0:0:a",
	} {
		if got := javaAddress(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
