// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// orders is how many changes of hands the round trip makes: a few, the soak 20.
func orders() int {
	if n, err := strconv.Atoi(os.Getenv("SAMSA_ORDERS")); err == nil && n > 0 {
		return n
	}
	return 4
}

// trip is one directory that goes back and forth between Samsa and Kafka.
type trip struct {
	t      *testing.T
	rng    *rand.Rand
	dir    string
	zkAddr string
	zk     *zk.Conn
	want   map[string][]string // what partition 0 of each topic holds
	next   int
}

// One directory, served in turns by Samsa and a real Kafka 3.9, each ended
// cleanly or by kill -9, with topics deleted and recreated under both: nothing
// is lost and nothing comes back.
func TestSamsaAndKafkaTakeTurns(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	tr := &trip{t: t, rng: rand.New(rand.NewPCG(seed, 3)), dir: t.TempDir(), zkAddr: StartZooKeeper(t), want: map[string][]string{}}
	conn, _, err := zk.Connect([]string{tr.zkAddr}, 10*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tr.zk = conn
	e2e.Eventually(t, 2*time.Minute, func() error { // a session takes a synced write of ZooKeeper's
		_, _, err := conn.Exists("/")
		return err
	})
	tr.samsa(false)
	for i := range orders() {
		kill := tr.rng.IntN(2) == 0
		if i%2 == 0 {
			tr.kafka(kill)
		} else {
			tr.samsa(kill)
		}
	}
	tr.samsa(false)
}

// quiet drops the ZooKeeper client's own log.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// samsa lets Samsa serve the directory once.
func (tr *trip) samsa(kill bool) {
	tr.t.Helper()
	tr.t.Logf("Samsa, kill %v", kill)
	b := e2e.Start(tr.t, e2e.Options{Dir: tr.dir, Props: small})
	tr.serve(b.Addr)
	tr.toZooKeeper(b.Addr)
	if kill {
		b.Kill()
	} else {
		b.Stop()
	}
}

// kafka lets a real Kafka serve the directory once. After a clean stop of ours
// it must not recover anything.
func (tr *trip) kafka(kill bool) {
	tr.t.Helper()
	clean := exists(filepath.Join(tr.dir, ".kafka_cleanshutdown"))
	tr.t.Logf("Kafka, kill %v, found a clean stop %v", kill, clean)
	k := StartKafka(tr.t, tr.zkAddr, tr.dir, small)
	tr.serve(k.Addr)
	if log := k.Log(); clean && strings.Contains(log, "Recovering unflushed segment") {
		tr.t.Errorf("Kafka recovered after our clean stop:\n%s", tail(log))
	} else if strings.Contains(log, "CorruptIndexException") || strings.Contains(log, "CorruptRecordException") {
		tr.t.Errorf("Kafka found corruption:\n%s", tail(log))
	}
	if kill {
		k.Kill()
	} else {
		k.Stop()
	}
	e2e.Eventually(tr.t, 60*time.Second, func() error {
		for _, path := range []string{"/brokers/ids/0", "/controller"} {
			if there, _, err := tr.zk.Exists(path); err != nil || there {
				return fmt.Errorf("%s is still there (%v)", path, err)
			}
		}
		return nil
	})
}

// serve checks what is there, deletes or recreates a topic and produces more.
func (tr *trip) serve(addr string) {
	tr.t.Helper()
	tr.check(addr)
	adm := kadm.NewClient(e2e.Client(tr.t, addr))
	for _, topic := range []string{"a", "b", "c"} {
		if _, there := tr.want[topic]; there && tr.rng.IntN(3) == 0 {
			resp, err := adm.DeleteTopic(context.Background(), topic)
			if err != nil {
				tr.t.Fatalf("delete %s: %v %s", topic, err, resp.ErrMessage)
			}
			delete(tr.want, topic)
			e2e.Eventually(tr.t, 30*time.Second, func() error {
				topics, err := adm.ListTopics(context.Background())
				if err == nil && topics.Has(topic) {
					err = fmt.Errorf("%s is still listed", topic)
				}
				return err
			})
		}
		if _, there := tr.want[topic]; !there {
			if tr.rng.IntN(4) == 0 {
				continue
			}
			e2e.Eventually(tr.t, 30*time.Second, func() error { // Kafka finishes a deletion in its own time
				_, err := adm.CreateTopic(context.Background(), 1, 1, nil, topic)
				return err
			})
		}
		var values []string
		for range 1 + tr.rng.IntN(200) {
			tr.next++
			values = append(values, fmt.Sprintf("value %d %s", tr.next, strings.Repeat("z", tr.rng.IntN(300))))
		}
		e2e.Produce(tr.t, addr, topic, 0, values)
		tr.want[topic] = append(tr.want[topic], values...)
	}
	tr.check(addr)
}

func (tr *trip) check(addr string) {
	tr.t.Helper()
	for topic, want := range tr.want {
		var got []string
		var have map[int32][]e2e.Record
		e2e.Eventually(tr.t, 30*time.Second, func() (err error) { // Kafka hears of its topics after it serves
			have, err = e2e.TryReadAll(tr.t, addr, topic)
			return err
		})
		for i, r := range have[0] {
			if r.Offset != int64(i) {
				tr.t.Fatalf("%s: record %d stands at offset %d", topic, i, r.Offset)
			}
			got = append(got, r.Value)
		}
		if !slices.Equal(got, want) {
			tr.t.Fatalf("%s holds %d records, want %d", topic, len(got), len(want))
		}
	}
	topics, err := kadm.NewClient(e2e.Client(tr.t, addr)).ListTopics(context.Background())
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, topic := range topics.Names() {
		if _, known := tr.want[topic]; !known && !strings.HasPrefix(topic, "__") {
			tr.t.Fatalf("%s came back", topic)
		}
	}
}

// toZooKeeper writes what a ZooKeeper cluster would know of the topics that
// Samsa serves, as Kafka's own znodes: a standalone broker keeps its tree in
// samsa.meta, and a Kafka that takes the directory looks in ZooKeeper.
func (tr *trip) toZooKeeper(addr string) {
	tr.t.Helper()
	meta, err := kadm.NewClient(e2e.Client(tr.t, addr)).Metadata(context.Background())
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.put("/cluster/id", map[string]any{"version": "1", "id": meta.Cluster})
	known, _, _ := tr.zk.Children("/brokers/topics")
	for _, topic := range known {
		if !meta.Topics.Has(topic) || meta.Topics[topic].ID != tr.zkTopicID(topic) {
			tr.drop("/brokers/topics/" + topic)
		}
	}
	for _, topic := range meta.Topics.Sorted() {
		partitions := map[string][]int32{}
		for _, p := range topic.Partitions.Sorted() {
			partitions[fmt.Sprint(p.Partition)] = []int32{0}
		}
		tr.put("/brokers/topics/"+topic.Topic, map[string]any{"version": 3, "topic_id": base64.RawURLEncoding.EncodeToString(topic.ID[:]),
			"partitions": partitions, "adding_replicas": map[string]any{}, "removing_replicas": map[string]any{}})
		for _, p := range topic.Partitions.Sorted() {
			tr.put(fmt.Sprintf("/brokers/topics/%s/partitions/%d/state", topic.Topic, p.Partition), map[string]any{
				"version": 1, "controller_epoch": 1, "leader": 0, "leader_epoch": p.LeaderEpoch, "isr": []int32{0}})
		}
		tr.put("/config/topics/"+topic.Topic, map[string]any{"version": 1, "config": map[string]string{}})
	}
}

func (tr *trip) zkTopicID(topic string) (id kadm.TopicID) {
	data, _, _ := tr.zk.Get("/brokers/topics/" + topic)
	var node struct {
		ID string `json:"topic_id"`
	}
	_ = json.Unmarshal(data, &node)
	raw, _ := base64.RawURLEncoding.DecodeString(node.ID)
	copy(id[:], raw)
	return id
}

// put writes a znode and the directories above it, which hold null.
func (tr *trip) put(path string, value any) {
	tr.t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		tr.t.Fatal(err)
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i := 1; i < len(parts); i++ {
		if _, err := tr.zk.Create("/"+strings.Join(parts[:i], "/"), nil, 0, zk.WorldACL(zk.PermAll)); err != nil && err != zk.ErrNodeExists {
			tr.t.Fatalf("above %s: %v", path, err)
		}
	}
	if _, err := tr.zk.Create(path, data, 0, zk.WorldACL(zk.PermAll)); err == zk.ErrNodeExists {
		_, err = tr.zk.Set(path, data, -1)
		if err != nil {
			tr.t.Fatalf("%s: %v", path, err)
		}
	} else if err != nil {
		tr.t.Fatalf("%s: %v", path, err)
	}
}

func (tr *trip) drop(path string) {
	children, _, _ := tr.zk.Children(path)
	for _, child := range children {
		tr.drop(path + "/" + child)
	}
	_ = tr.zk.Delete(path, -1)
}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }
