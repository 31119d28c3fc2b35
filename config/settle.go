// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strconv"
	"strings"
)

// settling is the second half of Load: what several keys say together.
type settling struct {
	b       *Broker
	faults  []error
	notices []Notice
}

// settle fills the fields and compares keys with one another, by Kafka's rules.
func (b *Broker) settle() (notices []Notice, faults []error) {
	s := &settling{b: b}
	b.fill()
	s.identity()
	s.listeners()
	s.directories()
	s.logs()
	s.connections()
	s.standalone()
	return s.notices, s.faults
}

func (s *settling) fault(key, value, allowed string) {
	s.faults = append(s.faults, &ValueError{Key: key, Value: value, Allowed: allowed})
}

// overpower notes which of the weaker keys are set for nothing.
func (s *settling) overpower(winner string, weaker ...string) {
	for _, key := range weaker {
		if _, set := s.b.set[key]; set {
			s.notices = append(s.notices, Notice{Kind: Overpowered, Key: key, Why: winner + " is set"})
		}
	}
}

// identity settles broker.id and its other name.
func (s *settling) identity() {
	b := s.b
	id, hasID := b.set["broker.id"]
	node, hasNode := b.set["node.id"]
	b.ID = int32(b.integer("broker.id"))
	if hasNode && !hasID {
		b.ID = int32(b.integer("node.id"))
	}
	switch { // each shows what the other was set to, as in Kafka
	case hasID && !hasNode:
		b.set["node.id"] = id
	case hasNode && !hasID:
		b.set["broker.id"] = node
	}
	switch {
	case hasID && hasNode && b.integer("broker.id") != b.integer("node.id"):
		s.fault("node.id", node, "want the same as broker.id, which is "+id)
	case b.GenerateID && (b.ID < -1 || b.ID > b.ReservedMaxID):
		s.fault("broker.id", strconv.Itoa(int(b.ID)), "want -1, or 0 to reserved.broker.max.id, which is "+strconv.Itoa(int(b.ReservedMaxID)))
	case !b.GenerateID && b.ID < 0:
		s.fault("broker.id", strconv.Itoa(int(b.ID)), "want at least 0, because broker.id.generation.enable is false")
	}
}

// directories settles log.dirs.
func (s *settling) directories() {
	key := "log.dirs"
	if _, set := s.b.set[key]; !set {
		key = "log.dir"
	} else {
		s.overpower(key, "log.dir")
	}
	seen := map[string]bool{}
	for _, dir := range items(s.b.text(key)) {
		if dir == "" {
			continue
		}
		if seen[dir] {
			s.fault(key, s.b.text(key), "want each directory once")
			return
		}
		seen[dir] = true
		s.b.LogDirs = append(s.b.LogDirs, dir)
	}
	if len(s.b.LogDirs) == 0 {
		s.fault(key, s.b.text(key), "want at least one directory")
	}
}

// logs compares what topics inherit.
func (s *settling) logs() {
	b := s.b
	t := b.TopicDefaults()
	if t.SegmentMs < 1 {
		s.fault("log.roll.ms", strconv.FormatInt(t.SegmentMs, 10), "want at least 1")
	}
	if t.SegmentJitterMs < 0 {
		s.fault("log.roll.jitter.ms", strconv.FormatInt(t.SegmentJitterMs, 10), "want at least 0")
	}
	if t.RetentionMs == 0 {
		s.fault("log.retention.ms", "0", "want at least 1, or -1 for ever; hours and minutes likewise")
	}
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		s.fault("log.cleaner.min.compaction.lag.ms", b.text("log.cleaner.min.compaction.lag.ms"), "want at most log.cleaner.max.compaction.lag.ms")
	}
	if threads := b.integer("log.cleaner.threads"); threads > 0 && b.integer("log.cleaner.dedupe.buffer.size")/threads <= 1<<20 {
		s.fault("log.cleaner.dedupe.buffer.size", b.text("log.cleaner.dedupe.buffer.size"), "want more than 1 MiB for each of log.cleaner.threads")
	}
	if wait := b.integer("replica.fetch.wait.max.ms"); wait > b.integer("replica.socket.timeout.ms") || wait > b.integer("replica.lag.time.max.ms") {
		s.fault("replica.fetch.wait.max.ms", b.text("replica.fetch.wait.max.ms"), "want at most replica.socket.timeout.ms and replica.lag.time.max.ms")
	}
}

// connections compares limits.
func (s *settling) connections() {
	b := s.b
	if b.QueuedMaxBytes > 0 && b.QueuedMaxBytes < int64(b.RequestMaxBytes) {
		s.fault("queued.max.request.bytes", b.text("queued.max.request.bytes"), "want at least socket.request.max.bytes, or -1")
	}
	const key = "max.connections.per.ip.overrides"
	b.MaxConnectionsPerHost = map[string]int{}
	for _, item := range items(b.text(key)) {
		at := strings.LastIndexByte(item, ':')
		if at <= 0 {
			s.fault(key, b.text(key), "want host:number, separated by commas")
			break
		}
		n, err := strconv.ParseInt(trim(item[at+1:]), 10, 32)
		if err != nil || n < 0 {
			s.fault(key, b.text(key), "want host:number, separated by commas")
			break
		}
		b.MaxConnectionsPerHost[trim(item[:at])] = int(n)
	}
	if b.MaxConnectionsPerIP == 0 && len(b.MaxConnectionsPerHost) == 0 {
		s.fault("max.connections.per.ip", "0", "want at least 1, or exceptions in "+key)
	}
	for i := range b.Listeners {
		for _, own := range ofListener {
			if _, _, err := b.OfListener(b.Listeners[i].Name, own); err != nil {
				s.faults = append(s.faults, err)
			}
		}
	}
	if idle, delay := b.integer("connections.max.idle.ms"), b.integer("connection.failed.authentication.delay.ms"); idle >= 0 && delay >= idle {
		s.fault("connections.max.idle.ms", b.text("connections.max.idle.ms"), "want more than connection.failed.authentication.delay.ms")
	}
	if b.GroupMinSession > b.GroupMaxSession {
		s.fault("group.min.session.timeout.ms", b.text("group.min.session.timeout.ms"), "want at most group.max.session.timeout.ms")
	}
	if codec := b.integer("offsets.topic.compression.codec"); codec < 0 || codec > 4 {
		s.fault("offsets.topic.compression.codec", b.text("offsets.topic.compression.codec"), "want 0 to 4")
	}
}

// standalone checks what only a broker with listeners of its own needs.
func (s *settling) standalone() {
	b := s.b
	if acks := b.integer("offsets.commit.required.acks"); acks < -1 || acks > b.integer("offsets.topic.replication.factor") {
		s.fault("offsets.commit.required.acks", b.text("offsets.commit.required.acks"), "want -1 to offsets.topic.replication.factor")
	}
	if f := b.integer("default.replication.factor"); f < 1 || f > 32767 {
		s.fault("default.replication.factor", b.text("default.replication.factor"), "want 1 to 32767")
	}
}
