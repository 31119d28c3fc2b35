// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"time"
)

// Broker is a checked server.properties. It does not change after Load; its
// slices and maps belong to it.
type Broker struct {
	// Identity.
	ID               int32 // broker.id or node.id; -1: to be generated, or read from meta.properties
	GenerateID       bool  // broker.id.generation.enable
	ReservedMaxID    int32 // generated ids are above it
	Rack             string
	ZooKeeperConnect string // empty: standalone. A build that cannot honour it must refuse to start

	// Addresses.
	Listeners           []Listener
	Advertised          []Listener // host and port may be open: see Listener
	InterBrokerListener string
	AdminListener       string // empty: turned off

	// Directories and durability.
	LogDirs                    []string
	Journal                    bool  // samsa.durability=journal
	JournalBytes               int64 // 0: decide by the file system
	RecoveryThreads            int   // logs opened at once, per directory
	RecoveryCheckpointInterval time.Duration
	StartCheckpointInterval    time.Duration
	HighWatermarkCheckpoint    time.Duration
	RetentionCheckInterval     time.Duration
	FlushCheckInterval         time.Duration
	InitialTaskDelay           time.Duration
	ProducerIDExpiration       time.Duration
	ProducerIDExpirationCheck  time.Duration
	AutoCreateTopics           bool
	DeleteTopics               bool
	NumPartitions              int32
	DefaultReplicationFactor   int16

	// Connections and requests.
	Netpoll                   string // auto, uring, epoll, portable
	EventLoops                int    // 0: decide by the processors
	SendBufferBytes           int    // -1: the system's
	ReceiveBufferBytes        int    // -1: the system's
	ListenBacklog             int
	RequestMaxBytes           int
	ControlFrameMaxBytes      int   // already resolved
	MemoryBytes               int64 // 0: decide by the machine
	QueuedMaxRequests         int
	QueuedMaxBytes            int64 // -1: no limit
	ConnectionsMaxIdle        time.Duration
	MaxConnections            int
	MaxConnectionsPerIP       int
	MaxConnectionsPerHost     map[string]int // max.connections.per.ip.overrides
	MaxConnectionCreationRate int
	QuotaWindows              int           // quota.window.num
	QuotaWindow               time.Duration // quota.window.size.seconds
	FetchMaxBytes             int
	FetchSessions             int

	// Groups and offsets.
	GroupMinSession         time.Duration
	GroupMaxSession         time.Duration
	GroupInitialDelay       time.Duration
	GroupMaxSize            int
	OffsetsPartitions       int32
	OffsetsReplication      int16
	OffsetsSegmentBytes     int32
	OffsetsCodec            int8 // as a batch's attributes number it
	OffsetsRetention        time.Duration
	OffsetsRetentionCheck   time.Duration
	OffsetsCommitTimeout    time.Duration
	OffsetMetadataMaxBytes  int
	TransactionMaxTimeout   time.Duration
	TransactionsPartitions  int32
	TransactionalExpiration time.Duration

	set   map[string]string // what is set, in the file or at run time, checked
	extra map[string]string // the same of keys that are in no table
	from  layers            // where it comes from
}

// Standalone tells whether the broker keeps its own metadata, without ZooKeeper.
func (b *Broker) Standalone() bool { return b.ZooKeeperConnect == "" }

// Value is the value of a key in force, as text. ok is false when the key is
// unknown or has none.
func (b *Broker) Value(name string) (value string, ok bool) {
	if v, set := b.set[name]; set {
		return v, true
	}
	if k := brokerIndex[name]; k != nil && !k.Null {
		return k.Default, true
	}
	return "", false
}

// text is Value, empty where there is none.
func (b *Broker) text(name string) string {
	if brokerIndex[name] == nil {
		panic("BUG: config: no key " + name)
	}
	v, _ := b.Value(name)
	return v
}

func (b *Broker) truth(name string) bool { return isTrue(b.text(name)) }

// integer is the value of a key that has a default.
func (b *Broker) integer(name string) int64 { return toInteger(b.text(name)) }

// integerOr is for keys without a default.
func (b *Broker) integerOr(name string, or int64) int64 {
	if v := b.text(name); v != "" {
		return toInteger(v)
	}
	return or
}

// after is the value of a key in units of unit, as far as a Duration goes.
func (b *Broker) after(name string, unit time.Duration) time.Duration {
	n := b.integer(name)
	if n > int64(math.MaxInt64/unit) {
		return math.MaxInt64
	}
	return time.Duration(n) * unit
}

// fill copies the checked values into their fields.
func (b *Broker) fill() {
	b.GenerateID = b.truth("broker.id.generation.enable")
	b.ReservedMaxID = int32(b.integer("reserved.broker.max.id"))
	b.Rack = b.text("broker.rack")
	b.ZooKeeperConnect = b.text("zookeeper.connect")
	if b.AdminListener = b.text("samsa.admin.listener"); b.AdminListener == "none" {
		b.AdminListener = ""
	}
	b.Journal = b.text("samsa.durability") == "journal"
	b.JournalBytes = b.integer("samsa.journal.bytes")
	b.RecoveryThreads = int(b.integer("num.recovery.threads.per.data.dir"))
	b.RecoveryCheckpointInterval = b.after("log.flush.offset.checkpoint.interval.ms", time.Millisecond)
	b.StartCheckpointInterval = b.after("log.flush.start.offset.checkpoint.interval.ms", time.Millisecond)
	b.HighWatermarkCheckpoint = b.after("replica.high.watermark.checkpoint.interval.ms", time.Millisecond)
	b.RetentionCheckInterval = b.after("log.retention.check.interval.ms", time.Millisecond)
	b.FlushCheckInterval = b.after("log.flush.scheduler.interval.ms", time.Millisecond)
	b.InitialTaskDelay = b.after("log.initial.task.delay.ms", time.Millisecond)
	b.ProducerIDExpiration = b.after("producer.id.expiration.ms", time.Millisecond)
	b.ProducerIDExpirationCheck = b.after("producer.id.expiration.check.interval.ms", time.Millisecond)
	b.AutoCreateTopics = b.truth("auto.create.topics.enable")
	b.DeleteTopics = b.truth("delete.topic.enable")
	b.NumPartitions = int32(b.integer("num.partitions"))
	b.DefaultReplicationFactor = int16(min(max(b.integer("default.replication.factor"), math.MinInt16), math.MaxInt16))
	b.fillConnections()
	b.fillGroups()
}

func (b *Broker) fillConnections() {
	b.Netpoll = b.text("samsa.netpoll")
	b.EventLoops = int(b.integer("samsa.event.loops"))
	b.SendBufferBytes = int(b.integer("socket.send.buffer.bytes"))
	b.ReceiveBufferBytes = int(b.integer("socket.receive.buffer.bytes"))
	b.ListenBacklog = int(b.integer("socket.listen.backlog.size"))
	b.RequestMaxBytes = int(b.integer("socket.request.max.bytes"))
	b.MemoryBytes = b.integer("samsa.memory.bytes")
	b.QueuedMaxRequests = int(b.integer("queued.max.requests"))
	b.QueuedMaxBytes = b.integer("queued.max.request.bytes")
	b.ConnectionsMaxIdle = b.after("connections.max.idle.ms", time.Millisecond)
	b.MaxConnections = int(b.integer("max.connections"))
	b.MaxConnectionsPerIP = int(b.integer("max.connections.per.ip"))
	b.MaxConnectionCreationRate = int(b.integer("max.connection.creation.rate"))
	b.QuotaWindows = int(b.integer("quota.window.num"))
	b.QuotaWindow = b.after("quota.window.size.seconds", time.Second)
	b.FetchMaxBytes = int(b.integer("fetch.max.bytes"))
	b.FetchSessions = int(b.integer("max.incremental.fetch.session.cache.slots"))
	if b.ControlFrameMaxBytes = int(b.integer("samsa.max.control.frame.bytes")); b.ControlFrameMaxBytes == 0 {
		auto := max(1<<20, b.integer("message.max.bytes")+64<<10)
		b.ControlFrameMaxBytes = int(min(auto, math.MaxInt32))
	}
}

func (b *Broker) fillGroups() {
	b.GroupMinSession = b.after("group.min.session.timeout.ms", time.Millisecond)
	b.GroupMaxSession = b.after("group.max.session.timeout.ms", time.Millisecond)
	b.GroupInitialDelay = b.after("group.initial.rebalance.delay.ms", time.Millisecond)
	b.GroupMaxSize = int(b.integer("group.max.size"))
	b.OffsetsPartitions = int32(b.integer("offsets.topic.num.partitions"))
	b.OffsetsReplication = int16(b.integer("offsets.topic.replication.factor"))
	b.OffsetsSegmentBytes = int32(b.integer("offsets.topic.segment.bytes"))
	b.OffsetsCodec = int8(b.integer("offsets.topic.compression.codec"))
	b.OffsetsRetention = b.after("offsets.retention.minutes", time.Minute)
	b.OffsetsRetentionCheck = b.after("offsets.retention.check.interval.ms", time.Millisecond)
	b.OffsetsCommitTimeout = b.after("offsets.commit.timeout.ms", time.Millisecond)
	b.OffsetMetadataMaxBytes = int(b.integer("offset.metadata.max.bytes"))
	b.TransactionMaxTimeout = b.after("transaction.max.timeout.ms", time.Millisecond)
	b.TransactionsPartitions = int32(b.integer("transaction.state.log.num.partitions"))
	b.TransactionalExpiration = b.after("transactional.id.expiration.ms", time.Millisecond)
}
