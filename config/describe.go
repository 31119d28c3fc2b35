// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"
)

// Source says where a value comes from, numbered as DescribeConfigs does.
type Source int8

// The sources there are here.
const (
	SourceTopic   Source = 1 // the topic's own config
	SourceBroker  Source = 2 // set on this broker while it runs
	SourceCluster Source = 3 // set on all brokers while they run
	SourceStatic  Source = 4 // server.properties
	SourceDefault Source = 5
)

// Synonym is one of the places a value could have come from, strongest first.
type Synonym struct {
	Name   string
	Value  string
	Source Source
	Null   bool // the value is hidden or null
}

// Entry describes one key of a broker or a topic, as DescribeConfigs tells it.
type Entry struct {
	Name      string
	Value     string
	Null      bool // there is no value, or it is hidden
	Source    Source
	Type      Type // 0: unknown key
	Doc       string
	ReadOnly  bool
	Sensitive bool
	Synonyms  []Synonym
}

// brokerSynonyms are the keys of a broker of which the first that is set wins.
var brokerSynonyms = [][]string{
	{"log.roll.ms", "log.roll.hours"},
	{"log.roll.jitter.ms", "log.roll.jitter.hours"},
	{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
}

// plainSynonyms lists the keys that name stands among.
func plainSynonyms(name string) []string {
	for _, list := range brokerSynonyms {
		if slices.Contains(list, name) {
			return list
		}
	}
	if name == "log.flush.interval.ms" {
		return []string{name, "log.flush.scheduler.interval.ms"}
	}
	return []string{name}
}

// perMechanism are the keys that a listener has for each SASL mechanism.
var perMechanism = []string{"sasl.jaas.config", "sasl.login.callback.handler.class", "sasl.login.class", "sasl.server.callback.handler.class", "connections.max.reauth.ms"}

// synonymsOf is plainSynonyms with the key that stands in for a listener's.
func synonymsOf(name string) []string {
	m := listenerPrefix.FindStringSubmatch(name)
	if m == nil {
		return plainSynonyms(name)
	}
	for _, base := range perMechanism {
		if strings.HasSuffix(m[2], base) {
			return []string{name, base}
		}
	}
	return []string{name, m[2]}
}

// synonyms lists what is set of name's synonyms, the strongest layer first, then
// their defaults, beginning with name itself: what stands before it would not be
// a synonym of it.
func (b *Broker) synonyms(name string, sensitive bool) []Synonym {
	var all []Synonym
	add := func(n, value string, source Source) {
		if sensitive {
			value = ""
		}
		all = append(all, Synonym{Name: n, Value: value, Null: sensitive, Source: source})
	}
	keys := synonymsOf(name)
	for _, layer := range []struct {
		set    map[string]string
		source Source
	}{{b.from.own, SourceBroker}, {b.from.cluster, SourceCluster}, {b.from.file, SourceStatic}} {
		for _, n := range keys {
			if v, ok := layer.set[n]; ok {
				add(n, v, layer.source)
			}
		}
	}
	for _, n := range keys {
		if k := brokerIndex[n]; k != nil && !k.Null {
			add(n, k.Default, SourceDefault)
		}
	}
	if i := slices.IndexFunc(all, func(s Synonym) bool { return s.Name == name }); i >= 0 {
		return all[i:]
	}
	return nil
}

func sourceOf(synonyms []Synonym) Source {
	if len(synonyms) == 0 {
		return SourceDefault
	}
	return synonyms[0].Source
}

// Describe lists every key of the broker by name, those in no table last.
// Passwords, and the values of unknown keys, are hidden.
func (b *Broker) Describe() []Entry {
	list := make([]Entry, 0, len(brokerTable)+len(b.extra))
	for i := range brokerTable {
		k := &brokerTable[i]
		if _, set := b.set[k.Name]; k.Internal && !set {
			continue // Kafka does not show them either
		}
		e := Entry{Name: k.Name, Type: k.Type, Doc: k.describe(), ReadOnly: !k.Dynamic, Sensitive: k.Type == Password}
		value, ok := b.Value(k.Name)
		if e.Null = !ok || e.Sensitive; !e.Null {
			e.Value = value
		}
		e.Synonyms = b.synonyms(k.Name, e.Sensitive)
		e.Source = sourceOf(e.Synonyms)
		list = append(list, e)
	}
	for _, name := range names(b.extra) {
		e := plainEntry(name, b.extra[name])
		e.Synonyms = b.synonyms(name, e.Sensitive)
		e.Source = sourceOf(e.Synonyms)
		list = append(list, e)
	}
	return list
}

// DescribeCluster lists what is set on all brokers while they run.
func (b *Broker) DescribeCluster() []Entry {
	list := make([]Entry, 0, len(b.from.cluster))
	for _, name := range names(b.from.cluster) {
		e := plainEntry(name, b.from.cluster[name])
		for _, s := range b.synonyms(name, e.Sensitive) {
			if s.Source == SourceCluster {
				e.Synonyms = append(e.Synonyms, s)
			}
		}
		e.Source = sourceOf(e.Synonyms)
		list = append(list, e)
	}
	return list
}

// plainEntry is a key with a value as it was set; what nobody knows is hidden,
// as it may be a password.
func plainEntry(name, value string) Entry {
	e := Entry{Name: name, Null: true, ReadOnly: true, Sensitive: true}
	if k := keyOf(name); k != nil {
		e.Type, e.Sensitive = k.Type, k.Type == Password
	}
	if k := brokerIndex[name]; k != nil {
		e.ReadOnly, e.Doc = !k.Dynamic, k.describe()
	}
	if !e.Sensitive {
		e.Value, e.Null = value, false
	}
	return e
}

// DescribeTopic lists every config of a topic by name. own is what the topic
// sets; its unknown keys are left out.
func (b *Broker) DescribeTopic(own map[string]string) []Entry {
	list := make([]Entry, 0, len(topicTable))
	for i := range topicTable {
		k := &topicTable[i]
		e := Entry{Name: k.Name, Type: k.Type, Doc: k.describe(), Value: b.effective(own, k.Name)}
		if v, ok := own[k.Name]; ok {
			e.Synonyms = []Synonym{{Name: k.Name, Value: v, Source: SourceTopic}}
		}
		if len(k.Inherits) > 0 {
			e.Synonyms = append(e.Synonyms, b.synonyms(k.Inherits[0], false)...)
		}
		e.Source = sourceOf(e.Synonyms)
		list = append(list, e)
	}
	return list
}

// describe is the key's doc and, unless it acts, why not.
func (k *Key) describe() string {
	if k.Effect == Acts {
		return k.Doc
	}
	var b strings.Builder
	b.WriteString(k.Doc)
	b.WriteString(" Here it ")
	switch k.Effect {
	case Later:
		b.WriteString("has no effect yet: ")
	case None:
		b.WriteString("has no effect: ")
	case Refused:
		b.WriteString("keeps its default: ")
	}
	b.WriteString(k.Why)
	b.WriteString(".")
	return b.String()
}
