// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Load is the traffic of the crash tests, and the judge of what survived it:
// idempotent producers at acks=all, one producer at acks=1, a reader that
// remembers what it saw, a group that commits, and a topic that is deleted and
// created again. Everything acknowledged or seen is remembered; Check reads
// the broker and reports what is missing, doubled, changed or out of order.
type Load struct {
	Topic      string
	Partitions int32

	t       testing.TB
	addr    string
	stop    context.CancelFunc
	ctx     context.Context
	wg      sync.WaitGroup
	mu      sync.Mutex
	acked   map[place]string // acknowledged at acks=all, then at acks=1
	seen    map[place]string // handed to a consumer
	commits map[int32]int64  // acknowledged committed offsets
	failure error            // the first error that a producer could not ride out
	Acked   atomic.Int64     // acknowledged so far
	churned atomic.Int64     // generations of the churning topic

	abandoned atomic.Bool
}

type place struct {
	partition int32
	offset    int64
}

// LoadOptions chooses the parts of the traffic.
type LoadOptions struct {
	Producers int  // idempotent, acks=all
	Acks1     bool // one more producer, not idempotent, acks=1
	Group     bool // a group that commits
	Churn     bool // a topic deleted and recreated
	Value     int  // bytes of padding per record
}

// StartLoad creates the topic and starts the traffic.
func StartLoad(t testing.TB, addr string, o LoadOptions) *Load {
	l := &Load{Topic: "load", Partitions: 6, t: t, addr: addr,
		acked: map[place]string{}, seen: map[place]string{}, commits: map[int32]int64{}}
	CreateTopic(t, addr, l.Topic, l.Partitions, nil)
	l.ctx, l.stop = context.WithCancel(context.Background())
	for i := range o.Producers {
		l.run(func() { l.produce(fmt.Sprintf("all%d", i), o.Value) })
	}
	if o.Acks1 {
		l.run(func() { l.produce("one", o.Value, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()) })
	}
	l.run(l.read)
	if o.Group {
		l.run(l.commit)
	}
	if o.Churn {
		l.run(l.churn)
	}
	return l
}

func (l *Load) run(fn func()) {
	l.wg.Add(1)
	go func() { defer l.wg.Done(); fn() }()
}

// Stop ends the traffic and waits for what is in flight; the broker must be up.
func (l *Load) Stop() {
	l.stop()
	l.wg.Wait()
}

// Abandon ends the traffic without waiting for what is in flight: it may never
// be answered. Failures from now on are not the broker's.
func (l *Load) Abandon() {
	l.abandoned.Store(true)
	l.stop()
}

// produce sends numbered records round the partitions until the load stops,
// then flushes: a record may wait through a crash, it may never fail.
func (l *Load) produce(name string, padding int, opts ...kgo.Opt) {
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(l.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(200), kgo.UnknownTopicRetries(-1),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20 * time.Millisecond), kgo.DialTimeout(2 * time.Second),
	}, opts...)...)
	if err != nil {
		l.fail(err)
		return
	}
	defer c.Close()
	pad := strings.Repeat("x", padding)
	for n := 0; l.ctx.Err() == nil; n++ {
		value := fmt.Sprintf("%s-%09d-%s", name, n, pad)
		r := &kgo.Record{Topic: l.Topic, Partition: int32(n) % l.Partitions, Value: []byte(value)}
		c.Produce(context.Background(), r, l.onAck)
	}
	if l.abandoned.Load() {
		return
	}
	flush, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := c.Flush(flush); err != nil {
		l.fail(fmt.Errorf("producer %s: flush: %w", name, err))
	}
}

func (l *Load) onAck(r *kgo.Record, err error) {
	if err != nil {
		l.fail(fmt.Errorf("produce to %s-%d: %w", r.Topic, r.Partition, err))
		return
	}
	l.Acked.Add(1)
	l.remember(l.acked, "acknowledged", r)
}

// remember notes a record at its place; two different records at one place are
// a failure at once.
func (l *Load) remember(m map[place]string, how string, r *kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := place{r.Partition, r.Offset}
	if before, ok := m[at]; ok && before != string(r.Value) && l.failure == nil {
		l.failure = fmt.Errorf("%s-%d offset %d was %s as %.20q and as %.20q", r.Topic, r.Partition, r.Offset, how, before, r.Value)
	}
	m[at] = string(r.Value)
}

func (l *Load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure == nil && !l.abandoned.Load() {
		l.failure = err
	}
}

func (l *Load) client(opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(l.addr), kgo.DialTimeout(2 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.FetchMaxWait(200 * time.Millisecond)}, opts...)...)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return c
}

// read follows the topic and remembers what it saw.
func (l *Load) read() {
	c := l.client(kgo.ConsumeTopics(l.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	for l.ctx.Err() == nil {
		c.PollFetches(l.ctx).EachRecord(func(r *kgo.Record) { l.remember(l.seen, "seen", r) })
	}
}

// commit consumes in a group and remembers each commit that was acknowledged.
func (l *Load) commit() {
	c := l.client(kgo.ConsumeTopics(l.Topic), kgo.ConsumerGroup("load-group"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second))
	defer c.CloseAllowingRebalance()
	for l.ctx.Err() == nil {
		fetches := c.PollFetches(l.ctx)
		next := map[int32]int64{}
		fetches.EachRecord(func(r *kgo.Record) { next[r.Partition] = r.Offset + 1 })
		ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
		err := c.CommitUncommittedOffsets(ctx)
		cancel()
		if err != nil || len(next) == 0 {
			continue // a rebalance or a crash in between: nothing was promised
		}
		l.mu.Lock()
		for p, offset := range next {
			l.commits[p] = max(l.commits[p], offset)
		}
		l.mu.Unlock()
	}
}

// churn deletes a topic and creates it again, each generation with records of
// its own, and fails when a generation shows a byte of an older one.
func (l *Load) churn() {
	c := l.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordDeliveryTimeout(3*time.Second), kgo.UnknownTopicRetries(1))
	defer c.Close()
	adm := kadm.NewClient(c)
	for gen := 0; l.ctx.Err() == nil; gen++ {
		ctx, cancel := context.WithTimeout(l.ctx, 5*time.Second)
		created, err := adm.CreateTopic(ctx, 2, 1, nil, "churn")
		fresh := err == nil && created.Err == nil
		for range 1 + rand.IntN(20) {
			r := &kgo.Record{Topic: "churn", Partition: int32(rand.IntN(2)), Value: fmt.Appendf(nil, "gen-%09d", gen)}
			c.Produce(ctx, r, nil)
		}
		_ = c.Flush(ctx)
		if fresh {
			l.checkGeneration(ctx, c, gen)
		}
		_, _ = adm.DeleteTopics(ctx, "churn")
		cancel()
		c.PurgeTopicsFromClient("churn")
		l.churned.Store(int64(gen))
	}
}

// checkGeneration reads what a topic that was created in this generation holds:
// records of this generation only.
func (l *Load) checkGeneration(ctx context.Context, c *kgo.Client, gen int) {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 11
	req.MinBytes, req.MaxBytes, req.MaxWaitMillis = 0, 1<<20, 0
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = "churn"
	for p := range int32(2) {
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.PartitionMaxBytes = p, 1<<20
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return // a crash in between: nothing was read
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			for _, old := range generations(p.RecordBatches) {
				if old != gen {
					l.fail(fmt.Errorf("churn-%d of generation %d holds a record of generation %d", p.Partition, gen, old))
				}
			}
		}
	}
}

// generations finds the generation numbers in uncompressed record bytes.
func generations(batches []byte) []int {
	var found []int
	for _, m := range generation.FindAllSubmatch(batches, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		found = append(found, n)
	}
	return found
}

var generation = regexp.MustCompile(`gen-(\d{9})`)

// Check reads everything and reports the first thing that is wrong. strict
// also asks that nothing stands in the log twice, which holds where all
// producers are idempotent.
func (l *Load) Check(strict bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return l.failure
	}
	have, err := TryReadAll(l.t, l.addr, l.Topic)
	if err != nil {
		return err
	}
	at := map[place]string{}
	for p, records := range have {
		if err := inOrder(p, records, strict); err != nil {
			return err
		}
		for _, r := range records {
			at[place{p, r.Offset}] = r.Value
		}
	}
	if err := missing(at, l.acked, "acknowledged"); err != nil {
		return err
	}
	if err := missing(at, l.seen, "seen by a consumer"); err != nil {
		return err
	}
	return l.checkCommits()
}

// inOrder checks that offsets are dense and that the numbers of each producer rise.
func inOrder(p int32, records []Record, strict bool) error {
	last := map[string]string{}
	for i, r := range records {
		if r.Offset != records[0].Offset+int64(i) {
			return fmt.Errorf("partition %d: offset %d follows %d records after %d", p, r.Offset, i, records[0].Offset)
		}
		if len(r.Value) < 14 {
			return fmt.Errorf("partition %d offset %d: a record nobody sent: %q", p, r.Offset, r.Value)
		}
		name, rest, _ := strings.Cut(r.Value, "-")
		number, _, _ := strings.Cut(rest, "-")
		if strict && name != "one" && number <= last[name] {
			return fmt.Errorf("partition %d offset %d: %s-%s stands after %s", p, r.Offset, name, number, last[name])
		}
		last[name] = number
	}
	return nil
}

func missing(have, want map[place]string, how string) error {
	var lost []string
	for at, value := range want {
		if have[at] != value {
			lost = append(lost, fmt.Sprintf("%d@%d want %.16q have %.16q", at.partition, at.offset, value, have[at]))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	sort.Strings(lost)
	return fmt.Errorf("%d of %d records %s are gone or changed, first %s", len(lost), len(want), how, strings.Join(lost[:min(3, len(lost))], "; "))
}

func (l *Load) checkCommits() error {
	if len(l.commits) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c := l.client()
	defer c.Close()
	got, err := kadm.NewClient(c).FetchOffsets(ctx, "load-group")
	if err != nil {
		return fmt.Errorf("fetch committed offsets: %w", err)
	}
	for p, want := range l.commits {
		if o, ok := got.Lookup(l.Topic, p); !ok || o.At < want {
			return fmt.Errorf("partition %d: offset %d was committed, %d is there", p, want, o.At)
		}
	}
	return nil
}

// Err is the first thing that went wrong so far.
func (l *Load) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// Counts says how much the judge knows, for the test's log.
func (l *Load) Counts() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d acknowledged, %d seen, %d partitions committed, %d generations of a deleted topic",
		len(l.acked), len(l.seen), len(l.commits), l.churned.Load())
}
