// SPDX-License-Identifier: Apache-2.0

package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// The scripts in testdata tell the stories of groups: each command is one event,
// and what follows is all the machine wants done about it. "auto" makes every
// Append visible at once; without it the script says "written TOKEN".
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := newScript(DefaultOptions())
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

// script is a machine, the log it writes to, and its clock.
type script struct {
	o       Options
	m       *Machine
	now     int64
	auto    bool
	log     []Append // visible, in order
	staged  map[Token]Append
	tickets []string
	out     strings.Builder
}

func newScript(o Options) *script {
	s := &script{o: o, staged: map[Token]Append{}}
	s.m = NewMachine(o, NewReplay(), 0)
	return s
}

var scriptErrors = map[string]error{
	"not-coordinator": ErrNotCoordinator, "not-available": ErrCoordinatorNotAvailable, "too-large": ErrCommitTooLarge,
}

// run carries out one command. Every command takes at=MS, which moves the clock first.
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	s.out.Reset()
	if d.HasArg("at") {
		d.ScanArgs(t, "at", &s.now)
	}
	str := func(key string) (v string) {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &v)
		}
		return v
	}
	num := func(key string, otherwise int64) int64 {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &otherwise)
		}
		return otherwise
	}
	switch d.Cmd {
	case "options":
		s.o.InitialRebalanceDelayMs = int32(num("delay", int64(s.o.InitialRebalanceDelayMs)))
		s.o.MaxSize = int(num("max-size", int64(s.o.MaxSize)))
		s.o.OffsetsRetentionMs = num("retention", s.o.OffsetsRetentionMs)
		s.o.RetentionCheckMs = num("check", s.o.RetentionCheckMs)
		s.o.OffsetMetadataMaxBytes = int(num("metadata", int64(s.o.OffsetMetadataMaxBytes)))
		s.m = NewMachine(s.o, NewReplay(), s.now)
	case "auto":
		s.auto = true
	case "manual":
		s.auto = false
	case "tick":
		s.step(Tick{})
	case "next":
		return fmt.Sprintf("%d\n", s.m.NextDeadline())
	case "written":
		token, _ := strconv.Atoi(d.CmdArgs[0].Key)
		s.written(Token(token), scriptErrors[str("err")])
	case "resigned":
		s.step(Resigned{})
	case "topics-deleted":
		s.step(TopicsDeleted{Topics: strings.Split(str("topics"), "+")})
	case "reload":
		s.reload(t)
	default:
		s.tickets = append(s.tickets, str("as"))
		s.step(Asked{To: Ticket(len(s.tickets) - 1), Request: request(t, d, str, num)})
	}
	return s.out.String()
}

// request reads a request from its command.
func request(t *testing.T, d *datadriven.TestData, str func(string) string, num func(string, int64) int64) Request {
	group, member, generation := str("group"), str("member"), int32(num("gen", -1))
	optional := func(key string) *string {
		if !d.HasArg(key) {
			return nil
		}
		v := str(key)
		return &v
	}
	instance := optional("instance")
	switch d.Cmd {
	case "join":
		r := &Join{
			Group: group, MemberID: member, InstanceID: instance, NewMemberID: strings.ReplaceAll(str("new"), "LONG", strings.Repeat("x", 1<<15)),
			RequireKnownMemberID: d.HasArg("require-known"), SkipAssignment: d.HasArg("skip"),
			ClientID: "client", ClientHost: "/127.0.0.1",
			SessionTimeoutMs: int32(num("session", 10_000)), RebalanceTimeoutMs: int32(num("rebalance", 60_000)),
			ProtocolType: "consumer",
		}
		if d.HasArg("type") {
			r.ProtocolType = str("type")
		}
		for _, p := range strings.Split(str("offers"), ",") {
			name, topics, _ := strings.Cut(p, ":")
			r.Protocols = append(r.Protocols, Protocol{Name: name, Metadata: subscription(topics)})
		}
		return r
	case "sync":
		r := &Sync{Group: group, MemberID: member, InstanceID: instance, Generation: generation, ProtocolType: optional("type"), ProtocolName: optional("protocol")}
		for _, a := range strings.Split(str("assign"), ",") {
			if id, data, ok := strings.Cut(a, ":"); ok {
				r.Assignments = append(r.Assignments, Assignment{MemberID: id, Data: []byte(data)})
			}
		}
		return r
	case "heartbeat":
		return &Heartbeat{Group: group, MemberID: member, InstanceID: instance, Generation: generation}
	case "leave":
		r := &Leave{Group: group}
		for _, m := range strings.Split(str("members"), ",") {
			id, inst, static := strings.Cut(m, "/")
			l := Leaver{MemberID: id}
			if static {
				l.InstanceID = &inst
			}
			r.Members = append(r.Members, l)
		}
		return r
	case "commit":
		r := &Commit{Group: group, MemberID: member, InstanceID: instance, Generation: generation, RetentionMs: num("retention", -1)}
		for _, o := range strings.Split(str("offsets"), ",") {
			where, what, _ := strings.Cut(o, "=")
			offset, _ := strconv.ParseInt(what, 10, 64)
			r.Offsets = append(r.Offsets, CommitOffset{TopicPartition: partition(where), Offset: offset, LeaderEpoch: 5, Metadata: str("metadata"), TimestampMs: num("time", -1)})
		}
		return r
	case "fetch":
		r := &Fetch{Group: group, All: !d.HasArg("partitions"), RequireStable: d.HasArg("stable")}
		r.Partitions = partitions(str("partitions"))
		return r
	case "delete-offsets":
		return &DeleteOffsets{Group: group, Partitions: partitions(str("partitions"))}
	case "describe":
		return &Describe{Group: group}
	case "delete":
		return &Delete{Group: group}
	case "list":
		r := &List{}
		if d.HasArg("states") {
			r.States = strings.Split(str("states"), "+")
		}
		if d.HasArg("types") {
			r.Types = strings.Split(str("types"), "+")
		}
		return r
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return nil
}

func partition(s string) TopicPartition {
	i := strings.LastIndexByte(s, '-')
	n, _ := strconv.Atoi(s[i+1:])
	return TopicPartition{Topic: s[:i], Partition: int32(n)}
}

func partitions(s string) (all []TopicPartition) {
	for _, p := range strings.Split(s, ",") {
		if p != "" {
			all = append(all, partition(p))
		}
	}
	return all
}

// subscription encodes a consumer's subscription to topics joined by '+'.
func subscription(topics string) []byte {
	if topics == "" {
		return nil
	}
	names := strings.Split(topics, "+")
	b := binary.BigEndian.AppendUint32([]byte{0, 1}, uint32(len(names)))
	for _, name := range names {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...)
	}
	return append(b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
}

func (s *script) step(ev Event) {
	for _, e := range slices.Clone(s.m.Step(s.now, ev)) {
		switch e := e.(type) {
		case Append:
			s.staged[e.Token] = e
			if s.auto {
				s.print(e, "")
				s.written(e.Token, nil)
				continue
			}
			s.print(e, fmt.Sprintf(" %d", e.Token))
		case Reply:
			fmt.Fprintf(&s.out, "%s: %s\n", s.tickets[e.To], answerString(e.Answer))
		}
	}
}

func (s *script) written(token Token, err error) {
	if err == nil {
		s.log = append(s.log, s.staged[token])
	}
	delete(s.staged, token)
	s.step(Written{Token: token, Err: err})
}

// reload starts a new machine from what the old one had written.
func (s *script) reload(t *testing.T) {
	s.m = replayed(t, s.o, s.log, s.now)
	s.staged = map[Token]Append{}
}

func replayed(t testing.TB, o Options, log []Append, now int64) *Machine {
	r, offset := NewReplay(), int64(0)
	for _, a := range log {
		base := offset
		for _, rec := range a.Records {
			if err := r.Record(base, NoProducer, rec.Key, rec.Value); err != nil {
				t.Fatalf("record at %d: %v", offset, err)
			}
			offset++
		}
	}
	return NewMachine(o, r, now)
}

func (s *script) print(a Append, token string) {
	for _, r := range a.Records {
		fmt.Fprintf(&s.out, "append%s: %s\n", token, recordString(r))
	}
}

func recordString(r Record) string {
	k, err := decodeKey(r.Key)
	if err != nil {
		return err.Error()
	}
	name := "group " + k.group
	if k.offset {
		name = fmt.Sprintf("offset %s %s-%d", k.group, k.at.Topic, k.at.Partition)
	}
	if r.Value == nil {
		return name + " tombstone"
	}
	if k.offset {
		c, err := decodeOffsetValue(r.Value)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%s = %d epoch=%d metadata=%q commit=%d expire=%d", name, c.offset, c.leaderEpoch, c.metadata, c.commitMs, c.expireMs)
	}
	v, err := decodeGroupValue(r.Value)
	if err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("%s = gen=%d type=%s protocol=%s leader=%s since=%d", name, v.Generation, v.ProtocolType, deref(v.Protocol), deref(v.Leader), v.CurrentStateTimestamp)
	for _, m := range v.Members {
		s += fmt.Sprintf(" %s", m.MemberID)
		if m.InstanceID != nil {
			s += "/" + *m.InstanceID
		}
		s += fmt.Sprintf("=%q", m.Assignment)
	}
	return s
}

func deref(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func errString(err error) string {
	if err == nil {
		return "ok"
	}
	return strings.TrimPrefix(err.Error(), "group: ")
}

func answerString(a Answer) string {
	switch a := a.(type) {
	case *JoinAnswer:
		if a.Err != nil && !errors.Is(a.Err, ErrMemberIDRequired) {
			return fmt.Sprintf("join %s member=%s", errString(a.Err), a.MemberID)
		}
		s := fmt.Sprintf("join %s gen=%d type=%s protocol=%s leader=%s member=%s", errString(a.Err), a.Generation, deref(a.ProtocolType), deref(a.ProtocolName), a.Leader, a.MemberID)
		if a.SkipAssignment {
			s += " skip"
		}
		for _, m := range a.Members {
			s += " +" + m.MemberID
			if m.InstanceID != nil {
				s += "/" + *m.InstanceID
			}
		}
		return s
	case *SyncAnswer:
		return fmt.Sprintf("sync %s type=%s protocol=%s %q", errString(a.Err), deref(a.ProtocolType), deref(a.ProtocolName), a.Assignment)
	case *HeartbeatAnswer:
		return "heartbeat " + errString(a.Err)
	case *LeaveAnswer:
		return "leave " + errString(a.Err) + errsString(a.Errs)
	case *CommitAnswer:
		return "commit" + errsString(a.Errs)
	case *FetchAnswer:
		s := "fetch " + errString(a.Err)
		for _, o := range a.Offsets {
			s += fmt.Sprintf(" %s-%d=%d", o.Topic, o.Partition, o.Offset)
			if o.Err != nil {
				s += "(" + errString(o.Err) + ")"
			}
		}
		return s
	case *DeleteOffsetsAnswer:
		return "delete-offsets " + errString(a.Err) + errsString(a.Errs)
	case *DescribeAnswer:
		s := fmt.Sprintf("describe %s %s type=%s protocol=%s", errString(a.Err), a.State, a.ProtocolType, a.Protocol)
		for _, m := range a.Members {
			s += fmt.Sprintf(" %s@%s%s=%q", m.MemberID, m.ClientID, m.ClientHost, m.Assignment)
		}
		return s
	case *ListAnswer:
		s := "list " + errString(a.Err)
		for _, g := range a.Groups {
			s += fmt.Sprintf(" %s(%s %s)", g.Group, g.ProtocolType, g.State)
		}
		return s
	case *DeleteAnswer:
		return "delete " + errString(a.Err)
	}
	return fmt.Sprintf("%T", a)
}

func errsString(errs []error) string {
	s := ""
	for _, err := range errs {
		s += " [" + errString(err) + "]"
	}
	return s
}
