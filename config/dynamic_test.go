// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"testing"
)

func loaded(t *testing.T, lines string) *Broker {
	t.Helper()
	b, _, err := Load(strings.NewReader(lines), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A value set while the broker runs takes the place of its synonyms below it,
// and gives it back when it goes.
func TestDynamicLayers(t *testing.T) {
	file := loaded(t, "broker.id=0\nlog.dirs=d\nlog.retention.ms=1000\nlog.roll.hours=2\nadvertised.listeners=PLAINTEXT://a:1\n")
	type m = map[string]string
	for _, c := range []struct {
		cluster, own m
		want         string // retention.ms, segment.ms, where clients go
	}{
		{nil, nil, "1000 7200000 PLAINTEXT://a:1"},
		{m{"log.retention.ms": "2000"}, nil, "2000 7200000 PLAINTEXT://a:1"},
		{m{"log.retention.ms": "2000"}, m{"log.retention.ms": "3000"}, "3000 7200000 PLAINTEXT://a:1"},
		{m{"log.roll.ms": "5"}, m{"advertised.listeners": "PLAINTEXT://b:2"}, "1000 5 PLAINTEXT://b:2"},
		{nil, m{"log.roll.ms": "5", "odd.key": "x"}, "1000 5 PLAINTEXT://a:1"},
	} {
		b, notices := file.WithDynamic(c.cluster, c.own)
		again, _ := b.WithDynamic(c.cluster, c.own)
		for _, b := range []*Broker{b, again} {
			d := b.TopicDefaults()
			if got := fmt.Sprint(d.RetentionMs, " ", d.SegmentMs, " ", b.Advertised[0]); got != c.want || notices != nil {
				t.Errorf("%v %v: %s, %v", c.cluster, c.own, got, notices)
			}
		}
		if back, _ := b.WithDynamic(nil, nil); back.TopicDefaults() != file.TopicDefaults() {
			t.Errorf("%v %v: %+v is left", c.cluster, c.own, back.TopicDefaults())
		}
	}
}

// A stored value that cannot be used is left out, with what depends on it, and
// named; the rest acts.
func TestDynamicLeftOut(t *testing.T) {
	file := loaded(t, "broker.id=0\nlog.dirs=d\n")
	type m = map[string]string
	for _, c := range []struct {
		cluster, own m
		bytes, ms    int64  // of segments
		named        string // keys
	}{
		{m{"log.segment.bytes": "x", "log.roll.ms": "5"}, nil, 1 << 30, 5, "log.segment.bytes"},
		{m{"listeners": "PLAINTEXT://:1", "log.roll.ms": "5"}, m{"num.partitions": "3"}, 1 << 30, 5, "listeners num.partitions"},
		{m{"log.cleaner.min.compaction.lag.ms": "9", "log.cleaner.max.compaction.lag.ms": "8"}, m{"log.segment.bytes": "777"}, 777, 604800000, "log.cleaner.min.compaction.lag.ms"},
		{m{"log.roll.ms": "5"}, m{"log.cleaner.min.compaction.lag.ms": "9", "log.cleaner.max.compaction.lag.ms": "8"}, 1 << 30, 5, "log.cleaner.min.compaction.lag.ms log.cleaner.min.compaction.lag.ms"},
	} {
		b, notices := file.WithDynamic(c.cluster, c.own)
		var named []string
		for _, n := range notices {
			named = append(named, n.Key)
			if n.Kind != Unusable || !strings.Contains(n.String(), "while the broker ran") {
				t.Errorf("%s", n)
			}
		}
		d := b.TopicDefaults()
		if int64(d.SegmentBytes) != c.bytes || d.SegmentMs != c.ms || strings.Join(named, " ") != c.named {
			t.Errorf("%v %v: %d bytes, %d ms, named %v", c.cluster, c.own, d.SegmentBytes, d.SegmentMs, named)
		}
	}
}

// What may not be set is told with the key and what to do; passwords are hidden.
func TestCheckDynamic(t *testing.T) {
	b := loaded(t, "broker.id=0\nlog.dirs=d\nlisteners=PLAINTEXT://:9092\n")
	for _, c := range []struct{ level, set, want string }{
		{"own", "log.segment.bytes=1000", ""},
		{"all", "log.segment.bytes=1000", ""},
		{"own", "log.segment.bytes=1", "want an integer of at least 14"},
		{"own", "num.partitions=1", "it cannot change while the broker runs"},
		{"own", "samsa.netpoll=uring", "it cannot change while the broker runs"},
		{"own", "ssl.keystore.location=f", "listener.name.<name>.ssl.keystore.location"},
		{"own", "ssl.key.password=geheim", "(hidden)"},
		{"all", "advertised.listeners=PLAINTEXT://a:1", "name the broker"},
		{"own", "advertised.listeners=PLAINTEXT://a:1", ""},
		{"own", "listeners=PLAINTEXT://:9093", "start again"},
		{"own", "listeners=PLAINTEXT://:9092", ""},
		{"own", "num.io.threads=17", "at most double of what it is, which is 8"},
		{"own", "listener.name.plaintext.num.network.threads=0", "want an integer of at least 1"},
		{"own", "listener.name.plaintext.max.connections=x", "want an integer"},
		{"own", "max.connections=0", "want at least 1"},
		{"own", "leader.replication.throttled.rate=-1", "want an integer of at least 0"},
		{"own", "odd.key=", ""},
	} {
		name, value, _ := strings.Cut(c.set, "=")
		err := b.CheckDynamic(c.level == "own", map[string]string{name: value})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) || err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s %s: %v", c.level, c.set, err)
		}
	}
}
