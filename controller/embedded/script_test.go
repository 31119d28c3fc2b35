// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/cockroachdb/datadriven"

	"github.com/samsa-broker/samsa/controller/meta"
)

// stage is the world of one script: two log directories, what lies in them, and
// the edge that runs over them.
type stage struct {
	t       *testing.T
	dirs    []string
	disk    *disk
	edge    *Edge
	notices []string
	ids     map[string]string // topic id -> name in the script
	byName  map[string]meta.TopicID
}

// The scripts in testdata show what operators ask, what is stored then, and
// what the replicas are told. Ids are shown as id1, id2, … in order of
// appearance. Every command also shows notices and calls of the replicas.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &stage{t: t, dirs: []string{t.TempDir(), t.TempDir()}, disk: newDisk(t), ids: map[string]string{}, byName: map[string]meta.TopicID{}}
		defer func() {
			if s.edge != nil {
				s.edge.Close()
			}
		}()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t, s.disk.t = t, t
			out := s.run(d)
			for _, n := range s.notices {
				out += "notice: " + n + "\n"
			}
			slices.Sort(s.disk.calls)
			for _, c := range s.disk.calls {
				out += "replicas: " + c + "\n"
			}
			s.notices, s.disk.calls = nil, nil
			return s.name(out)
		})
	})
}

var idPattern = regexp.MustCompile(`[A-Za-z0-9_-]+`)

// name replaces ids and directories by names that are the same in every run.
func (s *stage) name(text string) string {
	for i, d := range s.dirs {
		text = strings.ReplaceAll(text, d, fmt.Sprintf("DIR%d", i+1))
	}
	return idPattern.ReplaceAllStringFunc(text, func(id string) string {
		if _, err := meta.ParseTopicID(id); err != nil {
			return id
		}
		if s.ids[id] == "" {
			s.ids[id] = fmt.Sprintf("id%d", len(s.ids)+1)
		}
		return s.ids[id]
	})
}

// id finds the id that a name in the script stands for.
func (s *stage) id(name string) meta.TopicID {
	for text, n := range s.ids {
		if n == name {
			id, err := meta.ParseTopicID(text)
			if err != nil {
				s.t.Fatal(err)
			}
			return id
		}
	}
	id := meta.NewTopicID()
	s.ids[id.String()] = name
	return id
}

func (s *stage) run(d *datadriven.TestData) string {
	arg := func(key, def string) string {
		for _, a := range d.CmdArgs {
			if a.Key == key && len(a.Vals) > 0 {
				return a.Vals[0]
			}
		}
		return def
	}
	num := func(key string, def int) int {
		n, err := strconv.Atoi(arg(key, strconv.Itoa(def)))
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	has := func(key string) bool {
		return slices.ContainsFunc(d.CmdArgs, func(a datadriven.CmdArg) bool { return a.Key == key })
	}
	first := ""
	if len(d.CmdArgs) > 0 {
		first = d.CmdArgs[0].Key
	}
	switch d.Cmd {
	case "open":
		return s.open(arg("cluster", ""), arg("rf", "1"), num("broker", 1), has("no-deletion"))
	case "adopt":
		return s.adopt(d.Input, Circumstances{AllOnline: !has("offline"), OtherBroker: has("other-broker")})
	case "start":
		return show(s.edge.Start(s.disk))
	case "close":
		err := s.edge.Close()
		s.edge = nil
		return show(err)
	case "create":
		req := meta.NewTopic{Name: first, Partitions: int32(num("partitions", -1)), ReplicationFactor: int16(num("rf", -1)), Config: parseConfig(d.Input)}
		for i, r := range strings.FieldsFunc(arg("assignment", ""), func(r rune) bool { return r == '/' }) {
			if req.Assignment == nil {
				req.Assignment = map[int32][]meta.BrokerID{}
			}
			req.Assignment[int32(i)] = brokers(r)
		}
		return s.results(s.edge.CreateTopics([]meta.NewTopic{req}, has("validate-only")))
	case "create-many":
		var reqs []meta.NewTopic
		for _, line := range strings.Fields(d.Input) {
			reqs = append(reqs, meta.NewTopic{Name: line, Partitions: -1, ReplicationFactor: -1})
		}
		return s.results(s.edge.CreateTopics(reqs, false))
	case "auto":
		topic, err := s.edge.AutoCreate(first)
		return s.results([]meta.TopicResult{{Topic: topic, Err: err}})
	case "delete":
		var refs []meta.TopicRef
		for _, a := range d.CmdArgs {
			ref := meta.TopicRef{Name: a.Key}
			if len(a.Vals) > 0 {
				ref = meta.TopicRef{ID: s.id(a.Vals[0])}
			}
			refs = append(refs, ref)
		}
		return s.results(s.edge.DeleteTopics(refs))
	case "partitions":
		req := meta.NewPartitions{Topic: first, Count: int32(num("count", 0))}
		for _, r := range strings.FieldsFunc(arg("assignment", ""), func(r rune) bool { return r == '/' }) {
			req.Assignment = append(req.Assignment, brokers(r))
		}
		return s.results(s.edge.CreatePartitions([]meta.NewPartitions{req}, has("validate-only")))
	case "config":
		return show(s.edge.AlterTopicConfig(first, func(old map[string]string) (map[string]string, error) {
			if has("refuse") {
				return nil, meta.ErrInvalidConfig
			}
			maps.Copy(old, parseConfig(d.Input))
			return old, nil
		}, has("validate-only")))
	case "broker-config":
		return show(s.edge.AlterBrokerConfig(has("all"), func(old map[string]string) (map[string]string, error) {
			if has("refuse") {
				return nil, meta.ErrInvalidConfig
			}
			maps.Copy(old, parseConfig(d.Input))
			return old, nil
		}, has("validate-only")))
	case "offline":
		return show(s.edge.Offline([]meta.Partition{{Topic: first, Index: int32(num("index", 0))}}))
	case "fail":
		s.disk.fails[first+" "+d.CmdArgs[1].Key] = errors.New("disk on fire")
		return "ok\n"
	case "mend":
		clear(s.disk.fails)
		return "ok\n"
	case "image":
		return s.image()
	case "tree":
		return s.tree(first)
	}
	s.t.Fatalf("unknown command %s", d.Cmd)
	return ""
}

func (s *stage) open(cluster, rf string, broker int, noDeletion bool) string {
	o := testOptions(s.dirs...)
	o.ClusterID, o.Broker.ID, o.NoDeletion = cluster, meta.BrokerID(broker), noDeletion
	factor, _ := strconv.Atoi(rf)
	o.Defaults.ReplicationFactor = int16(factor)
	o.Events = &Events{Notice: func(text string) { s.notices = append(s.notices, text) }}
	o.Reconfigure = func(c BrokerConfigs) meta.Broker {
		self := o.Broker
		if host := c.Own["advertised"]; host != "" {
			self.Endpoints = slices.Clone(self.Endpoints)
			self.Endpoints[0].Host = host
		}
		s.notices = append(s.notices, fmt.Sprintf("reconfigured all=%v own=%v", c.All, c.Own))
		return self
	}
	e, err := Open(o)
	if err != nil {
		return show(err)
	}
	s.edge = e
	return fmt.Sprintf("cluster %s fresh=%t\n", e.ClusterID(), e.Fresh())
}

// adopt takes lines "TOPIC-P id=… epoch=… named dir=…", or the fake disk's logs
// where there is none; the logs given lie on the fake disk from then on.
func (s *stage) adopt(input string, c Circumstances) string {
	found := s.disk.found()
	for _, line := range strings.Split(input, "\n") {
		if line == "" {
			continue
		}
		if line == "nothing" {
			found = nil
			clear(s.disk.logs)
			continue
		}
		f := Found{LastEpoch: -1, Dir: "d1"}
		for i, w := range strings.Fields(line) {
			k, v, _ := strings.Cut(w, "=")
			switch {
			case i == 0:
				dash := strings.LastIndexByte(w, '-')
				n, err := strconv.Atoi(w[dash+1:])
				if err != nil {
					s.t.Fatal(err)
				}
				f.Topic, f.Partition = w[:dash], int32(n)
			case k == "id":
				f.ID = s.id(v)
			case k == "epoch":
				n, _ := strconv.Atoi(v)
				f.LastEpoch = int32(n)
			case k == "named":
				f.Named = true
			case k == "dir":
				f.Dir = v
			}
		}
		found = append(found, f)
	}
	remove, err := s.edge.Adopt(found, c)
	if err != nil {
		return show(err)
	}
	for _, f := range found {
		s.disk.logs[f.id()] = &log{f.ID, f.LastEpoch}
	}
	out := "ok\n"
	for _, i := range remove {
		out += fmt.Sprintf("remove %s of %s in %s\n", found[i].id(), found[i].ID, found[i].Dir)
	}
	s.disk.remove(found, remove)
	for p, l := range s.disk.logs { // a log without metadata gets its id from the store
		if known := s.storedID(p.Topic); l.id.IsZero() {
			l.id = known
		}
	}
	return out
}

func (s *stage) storedID(topic string) meta.TopicID {
	var id meta.TopicID
	err := s.edge.store.view(func(t *txn) error {
		_, st, err := loadTopic(t, topic)
		id = st.id
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func parseConfig(input string) map[string]string {
	out := map[string]string{}
	for _, line := range strings.Fields(input) {
		k, v, _ := strings.Cut(line, "=")
		out[k] = v
	}
	return out
}

func brokers(text string) []meta.BrokerID {
	var out []meta.BrokerID
	for _, f := range strings.Split(text, "+") {
		n, _ := strconv.Atoi(f)
		out = append(out, meta.BrokerID(n))
	}
	return out
}

func show(err error) string {
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return "ok\n"
}

func (s *stage) results(results []meta.TopicResult) string {
	var b strings.Builder
	for _, r := range results {
		if r.Err != nil {
			b.WriteString(show(r.Err))
			continue
		}
		if r.Topic == nil {
			b.WriteString("ok\n")
			continue
		}
		id := r.Topic.ID.String()
		if r.Topic.ID.IsZero() {
			id = "no id"
		}
		fmt.Fprintf(&b, "topic %s %s, %d partitions, config %v\n", r.Topic.Name, id, len(r.Topic.Partitions), r.Topic.Config)
	}
	return b.String()
}

func (s *stage) image() string {
	var b strings.Builder
	m := s.edge.Image()
	fmt.Fprintf(&b, "controller %d, %d brokers\n", m.Controller, len(m.Brokers))
	for _, t := range m.Topics() {
		fmt.Fprintf(&b, "%s %s adopted=%t internal=%t %v\n", t.Name, t.ID, t.Adopted, t.Internal, t.Config)
		for i, p := range t.Partitions {
			fmt.Fprintf(&b, "  %d leader=%d epoch=%d/%d isr=%v offline=%v\n", i, p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.ISR, p.Offline)
		}
	}
	return b.String()
}

// tree shows the nodes below a path, and our own keys.
func (s *stage) tree(below string) string {
	var b strings.Builder
	err := s.edge.store.db.View(func(tx *bolt.Tx) error {
		err := tx.Bucket(znodeBucket).ForEach(func(k, v []byte) error {
			n, err := decodeNode(v)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(string(k), below) {
				return nil
			}
			data := string(n.data)
			if n.flags&flagNull != 0 {
				data = "null"
			}
			if n.flags&flagEphemeral != 0 {
				data += " (ephemeral)"
			}
			fmt.Fprintf(&b, "%s v%d %s\n", k, n.version, data)
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Bucket(ownBucket).ForEach(func(k, v []byte) error {
			if string(k) != "store" {
				fmt.Fprintf(&b, "samsa: %s %v\n", k, v)
			}
			return nil
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}
