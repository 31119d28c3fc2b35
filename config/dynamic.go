// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// layers are the places a broker's values come from, beside Kafka's defaults.
type layers struct {
	own     map[string]string // set on this broker while it runs
	cluster map[string]string // set on all brokers while they run
	file    map[string]string // server.properties and the overrides, unknown keys included
}

// listenerPrefix matches the keys of a single listener; what follows the prefix
// may begin with the name of a SASL mechanism.
var listenerPrefix = regexp.MustCompile(`^listener\.name\.([^.]*)\.(.*)$`)

// perListener are the keys of security that can change only for one listener,
// by its prefix.
var perListener = []string{"ssl.key.password", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.location",
	"ssl.keystore.password", "ssl.keystore.type", "ssl.truststore.certificates", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type"}

// ofListeners are the keys of a listener that may be set for all brokers at once.
var ofListeners = []string{"max.connections", "max.connection.creation.rate", "num.network.threads"}

// addresses cannot change while a broker runs here, though they could in Kafka.
var addresses = []string{"listeners", "listener.security.protocol.map"}

// runtimeKeys exist only while a broker runs: server.properties knows them not.
var runtimeKeys = indexed([]Key{
	{Name: "follower.replication.throttled.rate", Type: Long, Default: "9223372036854775807", Valid: atLeast(0), Effect: Later, Why: whyCluster},
	{Name: "leader.replication.throttled.rate", Type: Long, Default: "9223372036854775807", Valid: atLeast(0), Effect: Later, Why: whyCluster},
	{Name: "replica.alter.log.dirs.io.max.bytes.per.second", Type: Long, Default: "9223372036854775807", Valid: atLeast(0), Effect: Later, Why: whyCluster},
})

// perBroker tells whether Kafka lets a key differ between brokers only: it
// cannot be set for all of them at once.
func perBroker(name string) bool {
	if m := listenerPrefix.FindStringSubmatch(name); m != nil {
		return !slices.Contains(ofListeners, m[2])
	}
	switch name {
	case "listeners", "advertised.listeners", "listener.security.protocol.map", "principal.builder.class":
		return true
	}
	return brokerIndex[name] != nil && brokerIndex[name].Dynamic && (strings.HasPrefix(name, "ssl.") || strings.HasPrefix(name, "sasl."))
}

// keyOf is the key that says what a name's values may be: the listener's prefix
// does not count. nil: unknown, which means that anything goes.
func keyOf(name string) *Key {
	if k := brokerIndex[name]; k != nil {
		return k
	}
	if k := runtimeKeys[name]; k != nil {
		return k
	}
	if m := listenerPrefix.FindStringSubmatch(name); m != nil {
		if k := brokerIndex[m[2]]; k != nil {
			return k
		}
		if strings.HasSuffix(m[2], ".sasl.jaas.config") {
			return brokerIndex["sasl.jaas.config"]
		}
	}
	return nil
}

// DynamicKey gives what Kafka takes a key for that is set while a broker runs:
// the default of one that is a list, as append and subtract begin with it.
func DynamicKey(name string) (value string, isList, known bool) {
	k := brokerIndex[name]
	if k == nil {
		return "", false, false
	}
	return k.Default, k.Type == List, true
}

// Secret names the first password in what shall be set, "" where there is none.
func Secret(set map[string]string) string {
	for _, name := range names(set) {
		if k := keyOf(name); k != nil && k.Type == Password {
			return name
		}
	}
	return ""
}

// CheckDynamic tells what is wrong with what shall be set while the broker runs:
// on this broker (own), or on all that have nothing of their own. set replaces
// what stands there now; the rest stays.
func (b *Broker) CheckDynamic(own bool, set map[string]string) error {
	var faults []error
	for _, name := range names(set) {
		if err := checkDynamic(name, set[name], own); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	cluster, mine := set, b.from.own
	if own {
		cluster, mine = b.from.cluster, set
	}
	next, faults := b.with(cluster, mine)
	if len(faults) == 0 {
		faults = b.checkChange(next)
	}
	return errors.Join(faults...)
}

// checkDynamic judges one key by itself.
func checkDynamic(name, value string, own bool) error {
	key := brokerIndex[name]
	switch {
	case key != nil && !key.Dynamic:
		return &ValueError{Key: name, Value: key.shown(value), Allowed: "it cannot change while the broker runs; set it in server.properties and start again"}
	case slices.Contains(perListener, name):
		return &ValueError{Key: name, Value: key.shown(value), Allowed: "it can change only for one listener, as listener.name.<name>." + name}
	}
	if k := keyOf(name); k != nil {
		if _, err := k.parseFor(name, value); err != nil {
			return err
		}
	}
	if !own && perBroker(name) {
		return &ValueError{Key: name, Value: keyOf(name).shown(value), Allowed: "it cannot be set for all brokers; name the broker"}
	}
	return nil
}

// parseFor is Parse of a key that has a listener's prefix in name.
func (k *Key) parseFor(name, value string) (string, error) {
	value, err := k.Parse(value)
	var fault *ValueError
	if errors.As(err, &fault) {
		fault.Key = name
	}
	return value, err
}

// shown is a value as an error may name it.
func (k *Key) shown(value string) string {
	if k == nil || k.Type == Password {
		return "(hidden)"
	}
	return value
}

// WithDynamic is the configuration with what was set while brokers ran laid
// over the file: on all of them, then on this one. The receiver is the one that
// Load made or one that comes from it. What cannot be used is left out and named.
func (b *Broker) WithDynamic(cluster, own map[string]string) (*Broker, []Notice) {
	var notices []Notice
	sift := func(set map[string]string, own bool) map[string]string {
		kept := map[string]string{}
		for _, name := range names(set) {
			if err := checkDynamic(name, set[name], own); err != nil {
				notices = append(notices, Notice{Kind: Unusable, Key: name, Why: "what was set while the broker ran is wrong: " + err.Error()})
				continue
			}
			kept[name] = set[name]
		}
		return kept
	}
	cluster, own = sift(cluster, false), sift(own, true)
	for _, try := range []layers{{cluster: cluster, own: own}, {own: own}, {cluster: cluster}} {
		next, faults := b.with(try.cluster, try.own)
		if len(faults) == 0 {
			return next, notices
		}
		for _, err := range faults {
			var fault *ValueError
			if errors.As(err, &fault) {
				notices = append(notices, Notice{Kind: Unusable, Key: fault.Key, Why: "what was set while the broker ran does not fit together: " + err.Error()})
			}
		}
	}
	next, _ := b.with(nil, nil)
	return next, notices
}

// Sift drops from what is stored the keys that could not be set any more, so
// that changing another one is not refused for their sake.
func Sift(set map[string]string, own bool) map[string]string {
	kept := maps.Clone(set)
	maps.DeleteFunc(kept, func(name, value string) bool { return checkDynamic(name, value, own) != nil })
	return kept
}

// with lays values over the file's. A value takes the place of its synonyms
// below it: log.retention.ms set for all brokers wins over the file's
// log.retention.hours, and the other way round.
func (b *Broker) with(cluster, own map[string]string) (*Broker, []error) {
	next := &Broker{set: map[string]string{}, extra: map[string]string{}, from: layers{own: own, cluster: cluster, file: b.from.file}}
	var faults []error
	for _, layer := range []map[string]string{b.from.file, cluster, own} {
		for _, name := range names(layer) {
			for _, n := range plainSynonyms(name) {
				if _, same := layer[n]; !same {
					delete(next.set, n)
				}
			}
			key := brokerIndex[name]
			if key == nil {
				next.extra[name] = layer[name]
				continue
			}
			value, err := key.Parse(layer[name])
			if err != nil {
				faults = append(faults, err)
				continue
			}
			next.set[name] = value
		}
	}
	_, more := next.settle()
	return next, append(faults, more...)
}

// checkChange judges the step from one configuration to the next: Kafka lets
// pools at most halve or double, and some values not be what a file may say.
func (b *Broker) checkChange(next *Broker) (faults []error) {
	fault := func(key, allowed string) {
		faults = append(faults, &ValueError{Key: key, Value: next.text(key), Allowed: allowed})
	}
	for _, key := range []string{"background.threads", "log.cleaner.threads", "num.io.threads", "num.network.threads", "num.recovery.threads.per.data.dir", "num.replica.fetchers"} {
		was, is := b.integer(key), next.integer(key)
		if was != is && (is < 1 || is < was/2 || is > was*2) {
			fault(key, "want at least 1, at least half and at most double of what it is, which is "+strconv.FormatInt(was, 10))
		}
	}
	for _, key := range []string{"remote.log.index.file.cache.total.size.bytes",
		"remote.log.manager.copy.max.bytes.per.second", "remote.log.manager.fetch.max.bytes.per.second"} {
		if is := next.integer(key); is != b.integer(key) && is < 1 {
			fault(key, "want at least 1")
		}
	}
	for _, key := range addresses {
		if b.text(key) != next.text(key) {
			fault(key, "it cannot change while the broker runs; set it in server.properties and start again")
		}
	}
	for _, unit := range []string{"ms", "bytes"} {
		key := "log.local.retention." + unit
		all, local := next.TopicDefaults().RetentionMs, next.integer(key)
		if unit == "bytes" {
			all = next.TopicDefaults().RetentionBytes
		}
		if local != b.integer(key) && all >= 0 && local != -2 && (local == -1 || local > all) {
			fault(key, "want at most log.retention."+unit+", which is "+strconv.FormatInt(all, 10))
		}
	}
	return append(faults, b.checkListenerChange(next)...)
}

// checkListenerChange judges what belongs to listeners that exist: their limits,
// and, as soon as a key of all listeners changes, too, that nothing else of
// theirs is other than in the file. (That is Kafka's order of things: the second
// kind may be stored first.)
func (b *Broker) checkListenerChange(next *Broker) (faults []error) {
	general := slices.ContainsFunc(names(next.set), func(name string) bool {
		return (perBroker(name) || slices.Contains(ofListeners, name)) && next.set[name] != b.text(name)
	})
	for _, key := range []string{"max.connections", "max.connection.creation.rate"} {
		acts := slices.ContainsFunc(next.Listeners, func(l Listener) bool {
			_, own := next.extra["listener.name."+strings.ToLower(l.Name)+"."+key]
			return !own
		})
		if is := next.integer(key); acts && is != b.integer(key) && is < 1 {
			faults = append(faults, &ValueError{Key: key, Value: next.text(key), Allowed: "want at least 1"})
		}
	}
	for _, name := range names(next.extra) {
		m := listenerPrefix.FindStringSubmatch(name)
		if m == nil || !slices.ContainsFunc(next.Listeners, func(l Listener) bool { return strings.EqualFold(l.Name, m[1]) }) {
			continue
		}
		limit, value := slices.Contains(ofListeners, m[2]), next.extra[name]
		if n, err := strconv.ParseInt(trim(value), 10, 64); limit && value != b.extra[name] && (err != nil || n < 1) {
			faults = append(faults, &ValueError{Key: name, Value: value, Allowed: "want at least 1"})
		}
		if general && !limit && !slices.Contains(perListener, m[2]) && value != b.from.file[name] {
			faults = append(faults, &ValueError{Key: name, Value: keyOf(name).shown(value),
				Allowed: "it cannot change for a listener that exists; start again, or make a new listener"})
		}
	}
	return faults
}

// IdleDynamic names the keys in what was set while the broker runs that do
// nothing here, sorted by key.
func IdleDynamic(set map[string]string) (notices []Notice) {
	for _, name := range names(set) {
		k := keyOf(name)
		switch {
		case k == nil:
			notices = append(notices, Notice{Kind: Unknown, Key: name, Why: "it is kept, and neither Kafka 3.9 nor Samsa has such a key"})
		case actsForListener(name):
		case listenerPrefix.MatchString(name):
			notices = append(notices, stranger(name))
		case k.Effect == Later:
			notices = append(notices, Notice{Kind: NotYet, Key: name, Why: k.Why})
		case k.Effect == None:
			notices = append(notices, Notice{Kind: WithoutUse, Key: name, Why: k.Why})
		}
	}
	return notices
}
