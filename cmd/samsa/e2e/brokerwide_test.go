// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// wideKey is a setting of the broker that topics inherit. The proof of the
// topic's key shows that it acts: where a topic would set own, the broker's key
// is set instead, and where it sets nothing, it keeps Kafka's default by itself.
type wideKey struct {
	broker string // the broker's key
	key    string // the topic's
	own    string // the value in the proof that is taken from the topic
	value  string // and set on the broker
	plain  string // Kafka's default of the topic's key
	live   bool   // set while the broker runs, after the topic was made
}

var wideKeys = []wideKey{
	{broker: "compression.gzip.level", key: "compression.gzip.level", own: "9", value: "9", plain: "-1"},
	{broker: "compression.lz4.level", key: "compression.lz4.level", own: "17", value: "17", plain: "9"},
	{broker: "compression.type", key: "compression.type", own: "gzip", value: "gzip", plain: "producer"},
	{broker: "compression.zstd.level", key: "compression.zstd.level", own: "19", value: "19", plain: "3"},
	{broker: "log.cleanup.policy", key: "cleanup.policy", own: "compact", value: "compact", plain: "delete"},
	{broker: "log.index.interval.bytes", key: "index.interval.bytes", own: "0", value: "0", plain: "4096"},
	{broker: "log.index.size.max.bytes", key: "segment.index.bytes", own: "64", value: "64", plain: "10485760"},
	{broker: "log.message.downconversion.enable", key: "message.downconversion.enable", own: "false", value: "false", plain: "true"},
	{broker: "log.message.timestamp.after.max.ms", key: "message.timestamp.after.max.ms", own: "60000", value: "60000", plain: "9223372036854775807"},
	{broker: "log.message.timestamp.before.max.ms", key: "message.timestamp.before.max.ms", own: "60000", value: "60000", plain: "9223372036854775807"},
	{broker: "log.message.timestamp.difference.max.ms", key: "message.timestamp.difference.max.ms", own: "60000", value: "60000", plain: "9223372036854775807"},
	{broker: "log.message.timestamp.type", key: "message.timestamp.type", own: "LogAppendTime", value: "LogAppendTime", plain: "CreateTime"},
	{broker: "log.retention.bytes", key: "retention.bytes", own: "3000", value: "3000", plain: "-1"},
	{broker: "log.retention.hours", key: "retention.ms", own: "3600000", value: "1", plain: "604800000"},
	{broker: "log.retention.minutes", key: "retention.ms", own: "3600000", value: "60", plain: "604800000"},
	{broker: "log.retention.ms", key: "retention.ms", own: "3600000", value: "3600000", plain: "604800000"},
	{broker: "log.roll.hours", key: "segment.ms", own: "600000", value: "1", plain: "604800000"},
	{broker: "log.roll.jitter.hours", key: "segment.jitter.ms", own: "3600000", value: "1", plain: "0"},
	{broker: "log.roll.jitter.ms", key: "segment.jitter.ms", own: "3600000", value: "3600000", plain: "0"},
	{broker: "log.roll.ms", key: "segment.ms", own: "600000", value: "600000", plain: "604800000"},
	{broker: "log.segment.bytes", key: "segment.bytes", own: "1000", value: "1000", plain: "1073741824"},
	{broker: "log.segment.delete.delay.ms", key: "file.delete.delay.ms", own: "600000", value: "600000", plain: "60000"},
	{broker: "message.max.bytes", key: "max.message.bytes", own: "1000", value: "1000", plain: "1048588"},
}

// topic makes a topic of a proof: see wideKey.
func (w *wideKey) topic(s *shop, name string, values map[string]string) string {
	s.t.Helper()
	name += "." + w.broker
	value, set := values[w.key]
	inherits := set && value == w.own
	switch {
	case inherits:
		delete(values, w.key)
	case !set:
		values[w.key] = w.plain
	}
	CreateTopic(s.t, s.Addr, name, 1, values)
	if inherits && w.live {
		s.alterBroker(kadm.AlterConfig{Name: w.broker, Value: &w.value})
	}
	return name
}

// alterBroker changes what is set on all brokers while they run.
func (s *shop) alterBroker(change kadm.AlterConfig) {
	s.t.Helper()
	resps, err := kadm.NewClient(Client(s.t, s.Addr)).AlterBrokerConfigs(s.t.Context(), []kadm.AlterConfig{change})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range resps {
		if r.Err != nil {
			s.t.Fatalf("%s: %v %s", change.Name, r.Err, r.ErrMessage)
		}
	}
}

// quick are the properties with which what happens now and then happens soon.
var quick = map[string]string{"log.retention.check.interval.ms": "200", "log.flush.offset.checkpoint.interval.ms": "200"}

// Every setting of the broker that topics inherit acts on those that do not set
// it: out of server.properties, and set while the broker runs, on topics that
// are there already.
func TestEveryBrokerWideDefault(t *testing.T) {
	for _, w := range wideKeys {
		t.Run(w.broker, func(t *testing.T) {
			t.Parallel()
			props := maps.Clone(quick)
			props[w.broker] = w.value
			s := &shop{t: t, wide: &w, Broker: Start(t, Options{Props: props})}
			if err := proofs[w.key](s); err != nil {
				t.Error(err)
			}
		})
	}
}

// The same keys act when they are set while the broker runs, as far as Kafka
// lets them change, and stop to act when they are deleted.
func TestEveryBrokerWideDefaultAtRunTime(t *testing.T) {
	b := Start(t, Options{Props: quick})
	for _, w := range wideKeys {
		if strings.HasSuffix(w.broker, ".hours") || strings.HasSuffix(w.broker, ".minutes") {
			continue // Kafka lets none of them change
		}
		t.Run(w.broker, func(t *testing.T) {
			w.live = true
			s := &shop{t: t, wide: &w, Broker: b}
			if err := proofs[w.key](s); err != nil {
				t.Error(err)
			}
			s.alterBroker(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: w.broker})
		})
	}
}

// wideAlone are the keys about logs that no topic inherits, or that another test
// shows; each with its proof.
var wideAlone = map[string]func(t *testing.T){
	"log.dirs": func(*testing.T) {}, // every test sets it
	"log.dir": func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "only")
		b := Start(t, Options{Drop: []string{"log.dirs"}, Props: map[string]string{"log.dir": dir}})
		CreateTopic(t, b.Addr, "here", 1, nil)
		if _, err := os.Stat(filepath.Join(dir, "here-0")); err != nil {
			t.Error(err)
		}
	},
	// Retention acts within seconds in TestEveryBrokerWideDefault; by default it is looked at every five minutes.
	"log.retention.check.interval.ms": func(*testing.T) {},
	"log.flush.offset.checkpoint.interval.ms": func(t *testing.T) {
		b := Start(t, Options{Props: quick})
		CreateTopic(t, b.Addr, "marked", 1, nil)
		Produce(t, b.Addr, "marked", 0, []string{"one"})
		Eventually(t, 20*time.Second, func() error { // by default every minute
			text, err := os.ReadFile(filepath.Join(b.Dir, "recovery-point-offset-checkpoint"))
			if err == nil && !strings.Contains(string(text), "marked 0 1\n") {
				err = fmt.Errorf("the recovery points are %q", text)
			}
			return err
		})
	},
	// The rig that cuts the power shows these three.
	"log.flush.interval.messages": func(*testing.T) {}, "log.flush.interval.ms": func(*testing.T) {}, "log.flush.scheduler.interval.ms": func(*testing.T) {},
}

// Every key of the broker about logs acts or is named once as without effect:
// there is none that just says nothing.
func TestEveryLogKeyActsOrIsNamed(t *testing.T) {
	acts := map[string]bool{}
	for _, w := range wideKeys {
		acts[w.broker] = true
	}
	idle := map[string]string{}
	for _, c := range describeBroker(t, Start(t, Options{}).Addr) {
		about := strings.HasPrefix(c.Key, "log.") || c.Key == "min.insync.replicas" || c.Key == "unclean.leader.election.enable"
		if proof := wideAlone[c.Key]; proof != nil {
			t.Run(c.Key, proof)
		} else if about && !acts[c.Key] {
			idle[c.Key] = c.MaybeValue()
		}
	}
	if len(idle) < 15 {
		t.Errorf("only %d keys are without effect: %v", len(idle), idle)
	}
	b := Start(t, Options{Props: idle})
	for key := range idle {
		if n := strings.Count(b.Log(), "config: "+key+" has no effect"); n != 1 {
			t.Errorf("%s is named %d times", key, n)
		}
	}
}

// describeBroker gives every setting of broker 0.
func describeBroker(t *testing.T, addr string) []kadm.Config {
	t.Helper()
	shown, err := kadm.NewClient(Client(t, addr)).DescribeBrokerConfigs(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(shown) != 1 || shown[0].Err != nil {
		t.Fatalf("described %+v", shown)
	}
	return shown[0].Configs
}

// Retention looks at logs for the first time log.initial.task.delay.ms after the
// start, whatever its interval is.
func TestFirstRetention(t *testing.T) {
	b := Start(t, Options{Props: map[string]string{"log.retention.check.interval.ms": "200", "log.initial.task.delay.ms": "600000"}})
	CreateTopic(t, b.Addr, "old", 1, map[string]string{"segment.bytes": "1000", "retention.ms": "60000"})
	s := &shop{t: t, Broker: b}
	if err := s.send("old", every(20, 300, time.Hour)...); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 3*time.Second; {
		if start := s.start("old"); start != 0 {
			t.Fatalf("within the delay the log starts at %d", start)
		}
	}
	b.Stop()
	s.Broker = Start(t, Options{Dir: b.Dir, Props: map[string]string{"log.retention.check.interval.ms": "600000", "log.initial.task.delay.ms": "100"}})
	Eventually(t, 20*time.Second, func() error {
		if start := s.start("old"); start == 0 {
			return errors.New("after the delay the log starts at 0")
		}
		return nil
	})
}
