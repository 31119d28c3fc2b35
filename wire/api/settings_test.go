// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/controller/meta"
)

func loadConfig(t *testing.T, lines string) *BrokerConfig {
	t.Helper()
	b, _, err := config.Load(strings.NewReader(lines), nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewBrokerConfig(func() *config.Broker { return b })
}

func find(t *testing.T, list []Setting, name string) Setting {
	t.Helper()
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no setting %s", name)
	return Setting{}
}

// What a topic sets wins over the broker's file, which wins over Kafka's
// default; each is told with its source.
func TestBrokerConfig(t *testing.T) {
	b := loadConfig(t, "broker.id=1\nlog.dirs=d\nlog.retention.hours=2\nlog.cleanup.policy=delete\n")
	s := find(t, b.TopicSettings(map[string]string{"segment.bytes": "1048576"}), "segment.bytes")
	if text(s.Value) != "1048576" || s.Source != kmsg.ConfigSourceDynamicTopicConfig || s.Type != kmsg.ConfigTypeInt || s.Doc == "" {
		t.Errorf("segment.bytes: %+v", s)
	}
	if last := s.Synonyms[len(s.Synonyms)-1]; last.Name != "log.segment.bytes" || last.Source != kmsg.ConfigSourceDefaultConfig || text(last.Value) != "1073741824" {
		t.Errorf("segment.bytes: %+v", last)
	}
	if s := find(t, b.TopicSettings(nil), "retention.ms"); text(s.Value) != "7200000" {
		t.Errorf("retention.ms: %s", text(s.Value))
	}
	if s := find(t, b.BrokerSettings(), "log.retention.hours"); text(s.Value) != "2" || s.Source != kmsg.ConfigSourceStaticBrokerConfig || !s.ReadOnly {
		t.Errorf("log.retention.hours: %+v", s)
	}
	if s := find(t, b.BrokerSettings(), "ssl.key.password"); s.Value != nil || !s.Sensitive {
		t.Errorf("ssl.key.password: %+v", s)
	}
	if err := b.CheckTopicConfig(map[string]string{"retention.ms": "1000", "cleanup.policy": "compact,delete"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []map[string]string{{"nonsense": "1"}, {"retention.ms": "x"}, {"cleanup.policy": "burn"}} {
		err := b.CheckTopicConfig(bad)
		if !errors.Is(err, meta.ErrInvalidConfig) || strings.Contains(err.Error(), "config: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if v, isList, known := b.TopicList("cleanup.policy"); v != "delete" || !isList || !known {
		t.Errorf("cleanup.policy: %s %t %t", v, isList, known)
	}
	if _, isList, known := b.TopicList("retention.ms"); isList || !known {
		t.Error("retention.ms is no list")
	}
	if _, _, known := b.TopicList("nonsense"); known {
		t.Error("nonsense is known")
	}
	if v, isList, known := b.BrokerList("log.cleanup.policy"); v != "delete" || !isList || !known {
		t.Errorf("log.cleanup.policy: %s %t %t", v, isList, known)
	}
	if _, _, known := b.BrokerList("nonsense"); known {
		t.Error("nonsense is known")
	}
}
