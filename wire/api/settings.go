// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/controller/meta"
)

// BrokerConfig answers for the settings of topics and of this broker out of its
// configuration.
type BrokerConfig struct {
	broker *config.Broker
	topic  map[string]config.Key
	own    map[string]config.Key
}

// NewBrokerConfig makes one; broker is not changed afterwards.
func NewBrokerConfig(broker *config.Broker) *BrokerConfig {
	b := &BrokerConfig{broker: broker, topic: map[string]config.Key{}, own: map[string]config.Key{}}
	for _, k := range config.TopicKeys() {
		b.topic[k.Name] = k
	}
	for _, k := range config.BrokerKeys() {
		b.own[k.Name] = k
	}
	return b
}

// CheckTopicConfig tells what is wrong with what shall be set on a topic: all
// of it, in one line. The error wraps meta.ErrInvalidConfig.
func (b *BrokerConfig) CheckTopicConfig(set map[string]string) error {
	if _, err := b.broker.Topic(set); err != nil {
		text := strings.ReplaceAll(err.Error(), "config: ", "")
		return fmt.Errorf("%w: %s", meta.ErrInvalidConfig, strings.ReplaceAll(text, "\n", "; "))
	}
	return nil
}

// TopicSettings gives every setting of a topic that has set set on it.
func (b *BrokerConfig) TopicSettings(set map[string]string) []Setting {
	return toSettings(b.broker.DescribeTopic(set))
}

// BrokerSettings gives every setting of this broker.
func (b *BrokerConfig) BrokerSettings() []Setting { return toSettings(b.broker.Describe()) }

// TopicList gives the default of a topic's key that is a list: Kafka's, not the
// broker's, is what an append begins with.
func (b *BrokerConfig) TopicList(key string) (value string, isList, known bool) {
	k, known := b.topic[key]
	return k.Default, known && k.Type == config.List, known
}

// BrokerKey tells whether a key is the broker's, and whether Kafka can change
// it while a broker runs.
func (b *BrokerConfig) BrokerKey(key string) (known, dynamic bool) {
	k, known := b.own[key]
	return known, k.Dynamic
}

func toSettings(entries []config.Entry) []Setting {
	out := make([]Setting, len(entries))
	for i, e := range entries {
		out[i] = Setting{Name: e.Name, Value: valueOrNil(e.Value, e.Null), Type: kmsg.ConfigType(e.Type), Source: kmsg.ConfigSource(e.Source),
			ReadOnly: e.ReadOnly, Sensitive: e.Sensitive, Doc: e.Doc, Synonyms: make([]SettingSynonym, len(e.Synonyms))}
		for j, s := range e.Synonyms {
			out[i].Synonyms[j] = SettingSynonym{s.Name, valueOrNil(s.Value, s.Null), kmsg.ConfigSource(s.Source)}
		}
	}
	return out
}

func valueOrNil(value string, null bool) *string {
	if null {
		return nil
	}
	return &value
}
