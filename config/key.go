// SPDX-License-Identifier: Apache-2.0

// Package config knows Kafka's server.properties and topic configs: every key
// of Kafka 3.9 in ZooKeeper mode with its type, default and meaning, what each
// of them does here, and Samsa's own keys, which start with "samsa.".
//
// Load turns a file into a Broker, typed and checked as a whole. A Broker turns
// the overrides of a topic into a Topic. Both describe themselves in the form
// that DescribeConfigs answers with. The package reads what it is given and
// nothing else: no file is opened except by LoadFile, no environment is looked
// at, and nothing of ours is imported.
//
// # Promises
//
// Everything that is wrong is reported at once, each with the key, the value
// and what is allowed. A key is never silently ignored: one that has no effect
// here comes back as a Notice with the reason, and one whose silent loss would
// be dangerous is an error.
//
// # While the broker runs
//
// What Kafka calls dynamic broker configs are two more layers over the file: set
// on all brokers, and above that on this one. CheckDynamic judges a change as
// Kafka 3.9 in ZooKeeper mode does, but for these: listeners and their protocols
// cannot change without a restart; passwords of listeners cannot be stored,
// because nothing here would use them; and what would keep every topic from
// being made (a smallest compaction lag above the largest) is refused at once.
package config

import (
	"errors"
	"fmt"
	"sort"
)

// ErrInvalid is wrapped by every error about a key or a value.
var ErrInvalid = errors.New("config: invalid")

// ValueError says what is wrong with one value. It wraps ErrInvalid.
type ValueError struct {
	Key     string
	Value   string // "(hidden)" for passwords
	Allowed string // what would be right
}

// Error is one line.
func (e *ValueError) Error() string {
	return fmt.Sprintf("config: %s=%s is invalid: %s", e.Key, e.Value, e.Allowed)
}

// Unwrap is ErrInvalid.
func (e *ValueError) Unwrap() error { return ErrInvalid }

// Type is the type of a key's value, numbered as DescribeConfigs does.
type Type int8

// The types of Kafka's ConfigDef.
const (
	Boolean Type = iota + 1
	String
	Int
	Short
	Long
	Double
	List
	Class
	Password
)

var typeNames = [...]string{"", "boolean", "string", "int", "short", "long", "double", "list", "class", "password"}

// String is the type's name in lower case.
func (t Type) String() string {
	if t > 0 && int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", int8(t))
}

// Effect says what a key does here.
type Effect uint8

// The effects.
const (
	Acts    Effect = iota // as in Kafka
	Later                 // kept and described; acts once what it is about is built
	None                  // kept and described; there is nothing here for it to act on
	Refused               // any value but the default is an error
)

// Key is one key of a broker or a topic.
type Key struct {
	Name     string
	Type     Type
	Default  string
	Null     bool // the default is null: not set
	Valid    *Rule
	Doc      string
	Dynamic  bool     // Kafka can change it while running
	Internal bool     // Kafka does not document it
	Effect   Effect   // here
	Why      string   // of every effect but Acts, a sentence
	Inherits []string // of a topic key: the broker keys that set its default, strongest first
}

// Reasons, each a sentence of its own about the key.
const (
	whyKraft        = "it belongs to KRaft, and Samsa keeps to Kafka's ZooKeeper mode"
	whyCluster      = "it acts between brokers, and this one stands alone"
	whyZk           = "it acts with ZooKeeper, which is not supported yet"
	whyTls          = "it acts with TLS, which is not supported yet"
	whySasl         = "it acts with SASL, which is not supported yet"
	whySecurity     = "only PLAINTEXT is supported yet"
	whyAuthorizer   = "authorization is not supported yet, and ignoring it would open the broker to everybody"
	whyTokens       = "it acts with delegation tokens, which are not supported yet"
	whyDynamic      = "it protects the passwords of listeners in the store, and those belong to TLS and SASL, which are not supported yet"
	whyTiered       = "tiered storage is a Java interface and does not exist here"
	whyJava         = "it names a Java class, and those cannot be loaded"
	whyThreads      = "no thread pool waits for a size; see samsa.event.loops"
	whyCompaction   = "it acts with compaction, which is not supported yet: a compacted topic just grows"
	whyTxn          = "it acts with transactions, which are not supported yet"
	whyQuota        = "it acts with quotas, which are not supported yet"
	whyKip848       = "it belongs to the new consumer groups, which exist only in KRaft"
	whyKip932       = "it belongs to share groups, which exist only in KRaft"
	whyMetrics      = "metrics are served to Prometheus at samsa.admin.listener"
	whyPurgatory    = "nothing needs purging, because a request that waits is removed when it is done"
	whyFormat       = "it is ignored as Kafka ignores it since protocol version 3.0"
	whyPreallocate  = "segments grow as they are written"
	whyAcks         = "it is deprecated in Kafka, and commits wait for all in-sync replicas, which is its default"
	whyQueue        = "every connection has a bounded line of its own, and large requests share queued.max.request.bytes"
	whyStart        = "log start offsets are journaled when they move, and checkpointed with the recovery points"
	whyHigh         = "high watermarks are written every 5 s, and none is needed to recover a broker that stands alone"
	whyOffsetsCodec = "committed offsets are written uncompressed"
	whyBuffer       = "offsets are loaded by whole batches, whatever their size"
)

// The tables, sorted by name, and their indexes. Nothing changes them.
var (
	brokerTable = sorted(logKeys, serverKeys, groupKeys, clusterKeys, kraftKeys, securityKeys, metricsKeys, samsaKeys, legacyKeys)
	topicTable  = sorted(topicKeys)
	brokerIndex = indexed(brokerTable)
	topicIndex  = indexed(topicTable)
)

func sorted(tables ...[]Key) []Key {
	var all []Key
	for _, t := range tables {
		all = append(all, t...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

func indexed(table []Key) map[string]*Key {
	m := make(map[string]*Key, len(table))
	for i := range table {
		if m[table[i].Name] != nil {
			panic("BUG: config: two keys " + table[i].Name)
		}
		m[table[i].Name] = &table[i]
	}
	return m
}

// BrokerKeys lists every key of server.properties, Samsa's included, by name.
func BrokerKeys() []Key { return append([]Key(nil), brokerTable...) }

// TopicKeys lists every topic config by name.
func TopicKeys() []Key { return append([]Key(nil), topicTable...) }

// Parse checks a value and returns it as it is kept: without blanks around it.
// A *ValueError where it is not allowed.
func (k *Key) Parse(value string) (string, error) {
	value = trim(value)
	if allowed, ok := k.check(value); !ok {
		return "", k.invalid(value, allowed)
	}
	if k.Effect == Refused && value != k.Default && value != "" {
		return "", k.invalid(value, k.Why)
	}
	return value, nil
}

func (k *Key) invalid(value, allowed string) error {
	if k.Type == Password {
		value = "(hidden)"
	}
	return &ValueError{Key: k.Name, Value: value, Allowed: allowed}
}
