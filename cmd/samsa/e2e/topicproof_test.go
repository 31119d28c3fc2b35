// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// more: with the config a topic has more segments than without it.
func (s *shop) more(with, without string, records []*kgo.Record) error {
	for _, topic := range []string{with, without} {
		if err := s.send(topic, records...); err != nil {
			return err
		}
	}
	if a, b := s.segments(with, ".log"), s.segments(without, ".log"); a <= b {
		return fmt.Errorf("%d segments with it, %d without", a, b)
	}
	return nil
}

// shrinks: retention takes segments until a condition holds, and what is left
// is still served.
func (s *shop) shrinks(topic string, records []*kgo.Record, done func() bool) error {
	if err := s.send(topic, records...); err != nil {
		return err
	}
	Eventually(s.t, 20*time.Second, func() error {
		if s.start(topic) == 0 || !done() {
			return fmt.Errorf("starts at %d with %d segments of %d bytes", s.start(topic), s.segments(topic, ".log"), s.sizes(topic, ".log"))
		}
		return nil
	})
	left := ReadAll(s.t, s.Addr, topic)[0]
	if len(left) == 0 || left[len(left)-1].Offset != int64(len(records)-1) {
		return fmt.Errorf("%d records are left", len(left))
	}
	return nil
}

// smaller: a topic that recompresses with a higher level stores fewer bytes.
func (s *shop) smaller(codec, low, high string) error {
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "%d %x;", i*7919%1000, i*i)
	}
	size := map[string]int{}
	for _, level := range []string{low, high} {
		topic := s.topic("level-"+codec+"-"+level, "compression.type="+codec, "compression."+codec+".level="+level)
		if err := s.send(topic, &kgo.Record{Value: []byte(text.String())}); err != nil {
			return err
		}
		size[level] = len(s.batch(topic))
		if got := ReadAll(s.t, s.Addr, topic)[0]; got[0].Value != text.String() {
			return fmt.Errorf("level %s changed the record", level)
		}
	}
	if size[high] >= size[low] {
		return fmt.Errorf("level %s stores %d bytes, level %s %d", low, size[low], high, size[high])
	}
	return nil
}

func proveCompressionType(s *shop) error {
	value := strings.Repeat("compress me ", 2000)
	want := map[string]int{"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
	for name, code := range want {
		topic := s.topic("codec-"+name, "compression.type="+name)
		if err := s.send(topic, &kgo.Record{Value: []byte(value)}); err != nil {
			return err
		}
		if got := codec(s.batch(topic)); got != code {
			return fmt.Errorf("compression.type=%s stores codec %d", name, got)
		}
		if got := ReadAll(s.t, s.Addr, topic)[0]; len(got) != 1 || got[0].Value != value {
			return fmt.Errorf("compression.type=%s changed the record", name)
		}
	}
	for _, c := range []struct {
		topic string
		want  int
	}{{s.topic("codec-kept"), 4}, {s.topic("codec-opened", "compression.type=uncompressed"), 0}} {
		Produce(s.t, s.Addr, c.topic, 0, []string{value}, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
		if got := codec(s.batch(c.topic)); got != c.want {
			return fmt.Errorf("%s: a zstd batch is stored with codec %d", c.topic, got)
		}
	}
	return nil
}

// Time and size retention act only where the policy says delete.
func proveCleanupPolicy(s *shop) error {
	old := func() (records []*kgo.Record) {
		for _, r := range every(10, 300, time.Hour) {
			r.Key = []byte("key")
			records = append(records, r)
		}
		return records
	}
	kept := s.topic("policy-compact", "cleanup.policy=compact", "segment.bytes=1000", "retention.ms=1000")
	if err := s.send(kept, old()...); err != nil {
		return err
	}
	deleted := s.topic("policy-delete", "cleanup.policy=delete", "segment.bytes=1000", "retention.ms=1000")
	if err := s.send(deleted, old()...); err != nil {
		return err
	}
	Eventually(s.t, 20*time.Second, func() error {
		if start := s.start(deleted); start < 9 {
			return fmt.Errorf("policy delete starts at %d", start)
		}
		return nil
	})
	if start := s.start(kept); start != 0 {
		return fmt.Errorf("policy compact starts at %d", start)
	}
	if err := s.send(kept, kgo.StringRecord("without a key")); !errors.Is(err, kerr.InvalidRecord) {
		return fmt.Errorf("a record without a key in a compacted topic: %v", err)
	}
	return nil
}

// A deleted segment stays under another name for the delay, then its space is free.
func proveDeleteDelay(s *shop) error {
	late := s.topic("gone-late", "file.delete.delay.ms=600000", "segment.bytes=1000", "retention.bytes=1000")
	soon := s.topic("gone-soon", "file.delete.delay.ms=2500", "segment.bytes=1000", "retention.bytes=1000")
	for _, topic := range []string{late, soon} { // what comes late was deleted first
		if err := s.shrinks(topic, every(20, 300, 0), func() bool { return s.start(topic) >= 12 }); err != nil {
			return err
		}
	}
	Eventually(s.t, 20*time.Second, func() error {
		if n := s.segments(soon, ".deleted"); n > 0 {
			return fmt.Errorf("%d deleted files after a short delay", n)
		}
		return nil
	})
	if n := s.segments(late, ".deleted"); n == 0 {
		return errors.New("no deleted file waits for the long delay")
	}
	return nil
}

func proveMaxMessageBytes(s *shop) error {
	small := s.topic("small", "max.message.bytes=1000")
	if err := s.send(small, every(1, 800, 0)...); err != nil {
		return err
	}
	if err := s.send(small, every(1, 1200, 0)...); !errors.Is(err, kerr.MessageTooLarge) {
		return fmt.Errorf("1200 bytes: %v", err)
	}
	if err := s.send(s.topic("large", "max.message.bytes=2097152"), every(1, 2_000_000, 0)...); err != nil {
		return fmt.Errorf("2000000 bytes: %w", err)
	}
	return nil
}

// proveBound: timestamps beyond the bound are refused on the sides it is for.
func proveBound(s *shop, which string, past, future bool) error {
	topic := s.topic("bound-"+which, "message.timestamp."+which+".max.ms=60000")
	for _, c := range []struct {
		ago     time.Duration
		refused bool
	}{{0, false}, {30 * time.Second, false}, {time.Hour, past}, {-time.Hour, future}} {
		err := s.send(topic, &kgo.Record{Value: []byte("x"), Timestamp: time.Now().Add(-c.ago)})
		if c.refused != errors.Is(err, kerr.InvalidTimestamp) || !c.refused && err != nil {
			return fmt.Errorf("%v ago: %v", c.ago, err)
		}
	}
	return nil
}

// A finer index has more entries, and finds the same places.
func proveIndexInterval(s *shop) error {
	fine := s.topic("index-fine", "index.interval.bytes=0", "segment.bytes=4000")
	coarse := s.topic("index-coarse", "segment.bytes=4000")
	for _, topic := range []string{fine, coarse} {
		if err := s.send(topic, every(40, 200, time.Second)...); err != nil {
			return err
		}
	}
	Eventually(s.t, 20*time.Second, func() error { // tails of indexes are written at the next checkpoint
		if a, b := s.sizes(fine, "0000.index"), s.sizes(coarse, "0000.index"); a <= b {
			return fmt.Errorf("%d bytes of index with an interval of 0, %d with 4096", a, b)
		}
		return nil
	})
	adm := kadm.NewClient(Client(s.t, s.Addr))
	at := time.Now().Add(-20 * time.Second).UnixMilli()
	a, err := adm.ListOffsetsAfterMilli(s.t.Context(), at, fine, coarse)
	if err != nil {
		return err
	}
	x, _ := a.Lookup(fine, 0)
	y, _ := a.Lookup(coarse, 0)
	if x.Offset <= 0 || x.Offset >= 40 || x.Offset > y.Offset+1 || y.Offset > x.Offset+1 {
		return fmt.Errorf("the time is at offset %d by one index and at %d by the other", x.Offset, y.Offset)
	}
	return nil
}
