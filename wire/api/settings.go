// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

// BrokerConfig answers for the settings of topics and of this broker out of its
// configuration.
type BrokerConfig struct {
	current func() *config.Broker
	topic   map[string]config.Key
}

// NewBrokerConfig makes one; current gives the configuration in force.
func NewBrokerConfig(current func() *config.Broker) *BrokerConfig {
	b := &BrokerConfig{current: current, topic: map[string]config.Key{}}
	for _, k := range config.TopicKeys() {
		b.topic[k.Name] = k
	}
	return b
}

// CheckTopicConfig tells what is wrong with what shall be set on a topic: all
// of it, in one line. The error wraps meta.ErrInvalidConfig.
func (b *BrokerConfig) CheckTopicConfig(set map[string]string) error {
	if _, err := b.current().Topic(set); err != nil {
		return fmt.Errorf("%w: %s", meta.ErrInvalidConfig, oneLine(err))
	}
	return nil
}

// CheckBrokerConfig tells what is wrong with what shall be set on this broker
// (own) or on all: all of it, in one line. Kafka calls the request invalid, not
// the configuration.
func (b *BrokerConfig) CheckBrokerConfig(own bool, set map[string]string) error {
	if err := b.current().CheckDynamic(own, set); err != nil {
		return Fail(frame.InvalidRequest, oneLine(err))
	}
	return nil
}

// UsableBrokerConfig drops from what is stored what could not be set any more.
func (b *BrokerConfig) UsableBrokerConfig(own bool, set map[string]string) map[string]string {
	return config.Sift(set, own)
}

// StorableBrokerConfig refuses passwords: they may only be stored encrypted,
// with password.encoder.secret as the key, and of one broker.
func (b *BrokerConfig) StorableBrokerConfig(own bool, set map[string]string) error {
	name := config.Secret(set)
	if name == "" {
		return nil
	}
	if !own {
		return fmt.Errorf("%w: %s: a password can be set only on a single broker", meta.ErrInvalidConfig, name)
	}
	if v, ok := b.current().Value("password.encoder.secret"); !ok || v == "" {
		return fmt.Errorf("%w: %s: a password is stored encrypted, and password.encoder.secret is not configured", meta.ErrInvalidConfig, name)
	}
	return fmt.Errorf("%w: %s: passwords belong to TLS and SASL, which are not supported yet", meta.ErrInvalidConfig, name)
}

func oneLine(err error) string {
	return strings.ReplaceAll(strings.ReplaceAll(err.Error(), "config: ", ""), "\n", "; ")
}

// TopicSettings gives every setting of a topic that has set set on it.
func (b *BrokerConfig) TopicSettings(set map[string]string) []Setting {
	return toSettings(b.current().DescribeTopic(set))
}

// BrokerSettings gives every setting of this broker.
func (b *BrokerConfig) BrokerSettings() []Setting { return toSettings(b.current().Describe()) }

// ClusterSettings gives what is set on all brokers while they run.
func (b *BrokerConfig) ClusterSettings() []Setting { return toSettings(b.current().DescribeCluster()) }

// TopicList gives the default of a topic's key that is a list: Kafka's, not the
// broker's, is what an append begins with.
func (b *BrokerConfig) TopicList(key string) (value string, isList, known bool) {
	k, known := b.topic[key]
	return k.Default, known && k.Type == config.List, known
}

// BrokerList is TopicList of a broker's key.
func (b *BrokerConfig) BrokerList(key string) (value string, isList, known bool) {
	return config.DynamicKey(key)
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
