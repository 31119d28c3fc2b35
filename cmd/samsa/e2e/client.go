// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Client is a franz-go client of the broker; the test's cleanup closes it.
func Client(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addr),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.MetadataMaxAge(5 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// CreateTopic creates a topic and waits until its leaders are known.
func CreateTopic(t testing.TB, addr, topic string, partitions int32, configs map[string]string) {
	t.Helper()
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = kadm.StringPtr(value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	adm := kadm.NewClient(Client(t, addr))
	resp, err := adm.CreateTopic(ctx, partitions, 1, values, topic)
	if err != nil || resp.Err != nil {
		t.Fatalf("create topic %s: %v %v %s", topic, err, resp.Err, resp.ErrMessage)
	}
}

// Record is what a reader got at a place.
type Record struct {
	Offset    int64
	Key       string
	Value     string
	Timestamp time.Time
}

// ReadAll reads a topic from its log start offsets to the high watermarks it
// has at the call, by partition, in order.
func ReadAll(t testing.TB, addr, topic string, opts ...kgo.Opt) map[int32][]Record {
	t.Helper()
	got, err := TryReadAll(t, addr, topic, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TryReadAll is ReadAll for tests that expect less than everything.
func TryReadAll(t testing.TB, addr, topic string, opts ...kgo.Opt) (map[int32][]Record, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	asker := Client(t, addr)
	defer asker.Close()
	adm := kadm.NewClient(asker)
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("end offsets of %s: %w", topic, err)
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("start offsets of %s: %w", topic, err)
	}
	got := map[int32][]Record{}
	next := map[int32]int64{}
	assign := map[int32]kgo.Offset{}
	starts.Each(func(o kadm.ListedOffset) {
		got[o.Partition] = nil
		next[o.Partition] = o.Offset
		assign[o.Partition] = kgo.NewOffset().At(o.Offset)
	})
	behind := func() (p int32, yes bool) {
		for p, n := range next {
			if end, _ := ends.Lookup(topic, p); n < end.Offset {
				return p, true
			}
		}
		return 0, false
	}
	c := Client(t, addr, append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: assign}), kgo.KeepControlRecords())...)
	defer c.Close()
	for {
		p, yes := behind()
		if !yes {
			return got, nil
		}
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("reading %s-%d: stuck at offset %d", topic, p, next[p])
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return nil, fmt.Errorf("reading %s-%d: %w", topic, errs[0].Partition, errs[0].Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			next[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				got[r.Partition] = append(got[r.Partition], Record{r.Offset, string(r.Key), string(r.Value), r.Timestamp})
			}
		})
	}
}

// Produce sends values to one partition and returns their offsets; it fails
// the test when one of them is not acknowledged.
func Produce(t testing.TB, addr, topic string, partition int32, values []string, opts ...kgo.Opt) []int64 {
	t.Helper()
	c := Client(t, addr, append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	records := make([]*kgo.Record, len(values))
	for i, value := range values {
		records[i] = &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	offsets := make([]int64, len(values))
	for i, r := range c.ProduceSync(ctx, records...) {
		if r.Err != nil {
			t.Fatalf("produce %d to %s-%d: %v", i, topic, partition, r.Err)
		}
		offsets[i] = r.Record.Offset
	}
	return offsets
}

// Eventually polls a condition until it holds; it fails the test with what the
// condition last said.
func Eventually(t testing.TB, within time.Duration, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("not within %v: %w", within, err))
		}
		<-tick.C
	}
}

// Settle waits until the coordinators serve, which a broker needs a while for.
func Settle(t testing.TB, r *Raw) {
	t.Helper()
	Eventually(t, 60*time.Second, func() error {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorKeys = 4, []string{"g"}
		if _, err := r.Call(find); err != nil {
			return err
		}
		id := kmsg.NewPtrInitProducerIDRequest()
		id.Version = 2
		resp, err := r.Call(id)
		if err != nil || resp.(*kmsg.InitProducerIDResponse).ErrorCode != 0 {
			return fmt.Errorf("producer ids: %+v, %v", resp, err)
		}
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version = 8
		for i := range 50 {
			fetch.Groups = append(fetch.Groups, kmsg.OffsetFetchRequestGroup{Group: fmt.Sprint(i)})
		}
		if resp, err = r.Call(fetch); err != nil {
			return err
		}
		for _, g := range resp.(*kmsg.OffsetFetchResponse).Groups {
			if g.ErrorCode != 0 {
				return fmt.Errorf("group %s: %d", g.Group, g.ErrorCode)
			}
		}
		return nil
	})
}
