// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/api"
)

// broker is everything below the connection for real: loops, handlers,
// replicas, a log directory. Only the controller is the test's: it creates
// what is mentioned.
type broker struct {
	t      *testing.T
	store  meta.Store
	set    *replica.Set
	server *Server
	addr   string
	parts  int
	isr    []meta.BrokerID // of the partitions to be made
	config *engine.Config
	mu     sync.Mutex
	block  int64
}

// AutoCreate implements api.TopicCreator.
func (b *broker) AutoCreate(name string) (*meta.Topic, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.store.Load().Topic(name); t != nil {
		return t, nil
	}
	t := &meta.Topic{Name: name, ID: meta.NewTopicID()}
	for i := range b.parts {
		err := b.set.Lead(replica.Leadership{
			ID: meta.Partition{Topic: name, Index: int32(i)}, Topic: t.ID, Epoch: 5,
			ISR: b.isr, Replicas: b.isr, MinISR: 1, Config: b.config,
		})
		if err != nil {
			return nil, err
		}
		t.Partitions = append(t.Partitions, meta.State{Leader: 1, LeaderEpoch: 5, ISR: []meta.BrokerID{1}, Replicas: []meta.BrokerID{1}})
	}
	b.store.Publish(b.store.Load().With(nil, t))
	return t, nil
}

// ProducerIDBlock implements api.ProducerIDs.
func (b *broker) ProducerIDBlock() (int64, int32, error) {
	b.block += 1000
	return b.block, 1000, nil
}

func newBroker(t *testing.T, loops, parts int) *broker {
	t.Helper()
	b := &broker{t: t, parts: parts, isr: []meta.BrokerID{1}, config: engine.DefaultConfig()}
	d, err := dir.Open(dir.Options{FS: vfs.OS(), Path: t.TempDir(), BrokerID: 1, ClusterID: "cluster", Durability: dir.Journal, JournalBytes: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var all []netpoll.Loop
	var homes []replica.Home
	for range loops {
		l, _, err := netpoll.Open(netpoll.Options{Backend: backend(), RecvBuffers: 256})
		if err != nil {
			t.Fatal(err)
		}
		all, homes = append(all, l), append(homes, l)
	}
	var running sync.WaitGroup
	for _, l := range all {
		running.Go(func() { _ = l.Run() })
	}
	b.set = replica.NewSet(replica.Options{Broker: 1, Dirs: []*dir.Dir{d}, Homes: homes, Pool: func(f func()) { go f() }, Now: time.Now})
	if err := errors.Join(b.set.Recover(func(meta.Partition) *engine.Config { return b.config }), b.set.Start()); err != nil {
		t.Fatal(err)
	}
	ln, err := netpoll.Listen("127.0.0.1:0", netpoll.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.addr = ln.Addr().String()
	host, port, _ := net.SplitHostPort(b.addr)
	n, _ := strconv.Atoi(port)
	b.store.Publish(meta.NewImage("cluster", 1, []meta.Broker{{ID: 1, Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: host, Port: int32(n), Protocol: "PLAINTEXT"}}}}))
	b.server, err = New(Options{Loops: all, Handlers: api.Handlers(api.Deps{
		Appender: b.set, Reader: b.set, Config: (*replica.Partition).Config, Cluster: &b.store,
		Creator: b, AutoCreate: true, ProducerIDs: b, Now: time.Now,
	}), Events: Events{Warn: func(line string) { t.Log(line) }}})
	if err != nil {
		t.Fatal(err)
	}
	b.server.Serve(ln, "PLAINTEXT")
	t.Cleanup(func() {
		if err := b.server.Close(); err != nil {
			t.Error(err)
		}
		b.set.Close()
		if err := d.Close(true); err != nil {
			t.Error(err)
		}
		for _, l := range all {
			_ = l.Close()
		}
		running.Wait()
	})
	return b
}

func (b *broker) client(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.addr), kgo.AllowAutoTopicCreation(), kgo.RetryTimeout(10 * time.Second)}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

// produce sends n records, tells them apart and waits for all.
func produce(ctx context.Context, c *kgo.Client, topic string, n, bytes int) error {
	pad := make([]byte, bytes)
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(strconv.Itoa(i)), Value: append([]byte(fmt.Sprintf("value-%d-", i)), pad...)})
	}
	return c.ProduceSync(ctx, records...).FirstErr()
}

// consume reads n records from the start and checks that each came once, whole.
func consume(t *testing.T, ctx context.Context, c *kgo.Client, n, pad int) {
	t.Helper()
	seen := map[string]bool{}
	for len(seen) < n {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("after %d of %d: %v", len(seen), n, err)
		}
		f.EachRecord(func(r *kgo.Record) {
			if key := string(r.Key); seen[key] || !bytes.HasPrefix(r.Value, []byte("value-"+key+"-")) || len(r.Value) != len("value-"+key+"-")+pad {
				t.Errorf("record %q: %d bytes, seen %v", key, len(r.Value), seen[key])
			}
			seen[string(r.Key)] = true
		})
	}
}

// A stock client produces with every codec and consumes it again, small and
// large, over one loop and over three.
func TestStockClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	for _, loops := range []int{1, 3} {
		b := newBroker(t, loops, 3)
		for name, codec := range map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()} {
			topic := fmt.Sprintf("%s-%d", name, loops)
			p := b.client(kgo.ProducerBatchCompression(codec))
			if err := produce(ctx, p, topic, 2000, 700); err != nil {
				t.Fatalf("%s: %v", topic, err)
			}
			consume(t, ctx, b.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 2000, 700)
		}
	}
}

// acks=0 and acks=1 arrive too, and read_committed sees what is committed.
func TestAcksAndIsolation(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b := newBroker(t, 1, 2)
	for i, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
		topic := fmt.Sprintf("acks-%d", i)
		if err := produce(ctx, b.client(kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite()), topic, 300, 20); err != nil {
			t.Fatal(err)
		}
		consume(t, ctx, b.client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 300, 20)
	}
}

// A consumer that waits gets what is produced later, by a long poll and not by
// asking again and again.
func TestLongPoll(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b := newBroker(t, 1, 1)
	p := b.client()
	if err := produce(ctx, p, "poll", 1, 0); err != nil {
		t.Fatal(err)
	}
	c := b.client(kgo.ConsumeTopics("poll"), kgo.FetchMaxWait(20*time.Second), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	consume(t, ctx, c, 1, 0)
	got := make(chan time.Duration, 1)
	began := time.Now()
	go func() {
		c.PollFetches(ctx)
		got <- time.Since(began)
	}()
	select {
	case <-got:
		t.Fatal("the poll returned with nothing")
	case <-time.After(300 * time.Millisecond):
	}
	if err := produce(ctx, p, "poll", 1, 0); err != nil {
		t.Fatal(err)
	}
	if d := <-got; d > 5*time.Second {
		t.Errorf("the poll took %v", d)
	}
}

// ask sends one request of a given version and returns the response.
func ask(t *testing.T, ctx context.Context, c *kgo.Client, req kmsg.Request) kmsg.Response {
	t.Helper()
	resp, err := c.Broker(1).Request(ctx, req)
	if err != nil {
		t.Fatalf("%T: %v", req, err)
	}
	return resp
}

// Offsets by time, the end of an epoch, deleted records, producer ids.
func TestOffsetsAndIDs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b := newBroker(t, 1, 1)
	c := b.client()
	if err := produce(ctx, c, "offsets", 10, 0); err != nil {
		t.Fatal(err)
	}
	list := func(ts int64) kmsg.ListOffsetsResponseTopicPartition {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID = -1
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp, p.CurrentLeaderEpoch = ts, 5
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "offsets", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		return ask(t, ctx, c, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	}
	for ts, want := range map[int64]int64{-1: 10, -2: 0, 0: 0, time.Now().Add(time.Hour).UnixMilli(): -1} {
		if p := list(ts); p.ErrorCode != 0 || p.Offset != want {
			t.Errorf("time %d: %+v, want %d", ts, p, want)
		}
	}
	if p := list(-9); p.ErrorCode != kerr.UnsupportedVersion.Code {
		t.Errorf("time -9: %+v", p)
	}

	ep := kmsg.NewPtrOffsetForLeaderEpochRequest()
	ep.ReplicaID = -1
	ep.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "offsets", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: 5, LeaderEpoch: 5}, {Partition: 7}}}}
	parts := ask(t, ctx, c, ep).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions
	if parts[0].ErrorCode != 0 || parts[0].EndOffset != 10 || parts[0].LeaderEpoch != 5 || parts[1].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("epoch end: %+v", parts)
	}

	del := kmsg.NewPtrDeleteRecordsRequest()
	del.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "offsets", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 4}}}}
	if p := ask(t, ctx, c, del).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LowWatermark != 4 {
		t.Errorf("delete records: %+v", p)
	}
	if p := list(-2); p.Offset != 4 {
		t.Errorf("the log starts at %d after the deletion", p.Offset)
	}

	id := kmsg.NewPtrInitProducerIDRequest()
	first := ask(t, ctx, c, id).(*kmsg.InitProducerIDResponse)
	second := ask(t, ctx, c, id).(*kmsg.InitProducerIDResponse)
	if first.ErrorCode != 0 || second.ProducerID != first.ProducerID+1 || first.ProducerEpoch != 0 {
		t.Errorf("producer ids: %+v, %+v", first, second)
	}
	id.TransactionalID = kmsg.StringPtr("t")
	if r := ask(t, ctx, c, id).(*kmsg.InitProducerIDResponse); r.ErrorCode != kerr.CoordinatorNotAvailable.Code {
		t.Errorf("transactional id: %+v", r)
	}
}
