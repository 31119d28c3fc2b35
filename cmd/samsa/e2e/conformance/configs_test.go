// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// ownWay are the broker's settings in which Samsa differs, and why.
var ownWay = map[string]string{
	"listeners": "another port", "log.dirs": "another directory", "zookeeper.connect": "Samsa stands alone",
	"zookeeper.session.timeout.ms": "set for Kafka's test", "log.cleaner.dedupe.buffer.size": "set for Kafka's test",
}

// DescribeConfigs of a topic and of the broker shows the names, values, types,
// sources and synonyms that Kafka 3.9 shows, with documentation of its own.
func TestConfigsAreKafkas(t *testing.T) {
	props := map[string]string{"log.retention.hours": "100", "log.segment.bytes": "1048576", "num.network.threads": "4", "compression.type": "lz4",
		"broker.id": "0", "log.segment.delete.delay.ms": "1000", "transaction.state.log.num.partitions": "1"}
	zk := StartZooKeeper(t)
	k := StartKafka(t, zk, t.TempDir(), props)
	b := e2e.Start(t, e2e.Options{Props: props})
	own := map[string]string{"segment.bytes": "2048", "cleanup.policy": "compact,delete"}
	for _, addr := range []string{k.Addr, b.Addr} {
		e2e.CreateTopic(t, addr, "described", 1, own)
	}
	for _, c := range []struct {
		name string
		kind kmsg.ConfigResourceType
		few  int
	}{{"described", kmsg.ConfigResourceTypeTopic, 36}, {"0", kmsg.ConfigResourceTypeBroker, 300}} {
		ours, kafkas := settingsOf(t, b.Addr, c.kind, c.name), settingsOf(t, k.Addr, c.kind, c.name)
		if len(kafkas) < c.few {
			t.Fatalf("Kafka describes %d settings of %s", len(kafkas), c.name)
		}
		for name, theirs := range kafkas {
			mine, ok := ours[name]
			if !ok {
				if ownWay[name] == "" {
					t.Errorf("%s is not described", name)
				}
				continue
			}
			if ownWay[name] != "" {
				continue
			}
			if a, b := outline(mine), outline(theirs); a != b {
				t.Errorf("%s\nSamsa: %s\nKafka: %s", name, a, b)
			}
			if mine.ReadOnly != theirs.ReadOnly {
				t.Errorf("%s: read-only %v, Kafka %v", name, mine.ReadOnly, theirs.ReadOnly)
			}
			if mine.Documentation == nil || *mine.Documentation == "" {
				t.Errorf("%s has no documentation", name)
			} else if theirs.Documentation != nil && *mine.Documentation == *theirs.Documentation {
				t.Errorf("%s has Kafka's documentation", name)
			}
		}
		for name := range ours {
			if _, ok := kafkas[name]; !ok && !strings.HasPrefix(name, "samsa.") && ownWay[name] == "" && !legacy[name] {
				t.Errorf("%s is described and Kafka has no such setting", name)
			}
		}
	}
}

// legacy are keys from before Kafka 3.0 that Samsa still honours.
var legacy = map[string]bool{"port": true, "host.name": true, "advertised.port": true, "advertised.host.name": true}

func settingsOf(t *testing.T, addr string, kind kmsg.ConfigResourceType, name string) map[string]kmsg.DescribeConfigsResponseResourceConfig {
	t.Helper()
	return askSettings(t, e2e.Dial(t, addr), kind, name)
}

func askSettings(t *testing.T, conn *e2e.Raw, kind kmsg.ConfigResourceType, name string) map[string]kmsg.DescribeConfigsResponseResourceConfig {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeSynonyms, req.IncludeDocumentation = 4, true, true
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	req.Resources = append(req.Resources, r)
	resp, err := conn.Call(req)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, c := range resp.(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		settings[c.Name] = c
	}
	return settings
}

// outline is what of a setting must be the same.
func outline(c kmsg.DescribeConfigsResponseResourceConfig) string {
	text := fmt.Sprintf("%s %v %v sensitive %v, default %v:", value(c.Value), c.ConfigType, c.Source, c.IsSensitive, c.IsDefault)
	for _, s := range c.ConfigSynonyms {
		text += fmt.Sprintf(" %s=%s %v", s.Name, value(s.Value), s.Source)
	}
	return text
}

func value(v *string) string {
	if v == nil {
		return "null"
	}
	return *v
}
