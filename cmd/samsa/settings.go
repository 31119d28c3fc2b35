// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/controller/embedded"
	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/api"
	"github.com/samsa-broker/samsa/wire/server"
)

// What the configuration means to each room.

// identify settles the broker id and gives the cluster id that the
// directories' meta.properties name, "" when none does.
func (b *broker) identify() (cluster string, err error) {
	b.id = b.conf.ID
	for _, path := range usableDirs(b) {
		m, found, err := dir.ReadMeta(b.fs, path)
		if err != nil && !errors.Is(err, dir.ErrMeta) {
			b.lose(path, err)
			continue
		}
		if err != nil {
			return "", err
		}
		if !found {
			continue
		}
		if b.id < 0 && m.BrokerID >= 0 {
			b.id = m.BrokerID
		}
		if cluster == "" {
			cluster = m.ClusterID
		}
	}
	b.id = max(b.id, 0) // a broker that stands alone needs no generated id
	return cluster, b.anyUsable()
}

// self is this broker as clients shall see it.
func (b *broker) self() meta.Broker {
	self := meta.Broker{ID: meta.BrokerID(b.id), Rack: b.conf.Rack}
	for _, l := range b.current.Load().Advertised {
		host := l.Host
		if host == "" {
			host = hostname()
		}
		self.Endpoints = append(self.Endpoints, meta.Endpoint{Listener: l.Name, Host: host, Port: int32(l.Port), Protocol: l.Protocol})
	}
	return self
}

// hostname is what clients connect to when no address was configured: Kafka
// takes the canonical host name.
func hostname() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}

// internalTopics are a broker's own, made when first needed.
func internalTopics(conf *config.Broker) map[string]meta.NewTopic {
	return map[string]meta.NewTopic{
		meta.OffsetsTopic: {
			Name: meta.OffsetsTopic, Partitions: conf.OffsetsPartitions, ReplicationFactor: 1,
			Config: map[string]string{
				"cleanup.policy": "compact", "compression.type": "producer",
				"segment.bytes": strconv.Itoa(int(conf.OffsetsSegmentBytes)),
			},
		},
	}
}

// limits bound what peers can make the server hold.
func (b inForce) limits() (server.Limits, error) {
	l := server.Limits{
		FrameBytes: b.conf.RequestMaxBytes, ControlFrameBytes: b.conf.ControlFrameMaxBytes, TotalBytes: memoryBytes(b.conf),
		Idle:  b.conf.ConnectionsMaxIdle,
		PerIP: map[netip.Addr]int{},
	}
	if err := limitConnections(b.conf, &l); err != nil {
		return l, err
	}
	for host, n := range b.conf.MaxConnectionsPerHost {
		addrs, err := net.LookupHost(host)
		if err != nil {
			return l, fmt.Errorf("max.connections.per.ip.overrides: %w", err)
		}
		for _, text := range addrs {
			if addr, err := netip.ParseAddr(text); err == nil {
				l.PerIP[addr.Unmap()] = n
			}
		}
	}
	return l, nil
}

// memoryBytes is samsa.memory.bytes, or queued.max.request.bytes where that is
// less; 0 for the default.
func memoryBytes(conf *config.Broker) int64 {
	if queued := conf.QueuedMaxBytes; queued > 0 && (conf.MemoryBytes == 0 || queued < conf.MemoryBytes) {
		return queued
	}
	return conf.MemoryBytes
}

// listenOptions are the sizes of the sockets.
func listenOptions(conf *config.Broker) netpoll.ListenOptions {
	return netpoll.ListenOptions{Backlog: conf.ListenBacklog, RecvBufferBytes: conf.ReceiveBufferBytes, SendBufferBytes: conf.SendBufferBytes}
}

// deps are what the handlers work with.
func (b *broker) deps() api.Deps {
	return api.Deps{
		Appender: b.set, Reader: b.set,
		Config:  func(p *replica.Partition) *engine.Config { return p.Config() },
		Cluster: b.edge.Images(), Creator: b.edge, AutoCreate: b.conf.AutoCreateTopics, ProducerIDs: b.edge,
		FetchMaxBytes: b.conf.FetchMaxBytes, FetchSessions: b.conf.FetchSessions, MemoryBytes: memoryBytes(b.conf), Groups: b.host, Now: time.Now,
		OldOffsets: embedded.NewConsumerOffsets(b.edge), OffsetMetadataMax: b.conf.OffsetMetadataMaxBytes,
		Admin: api.Admin{Broker: meta.BrokerID(b.id), Image: b.edge.Images(), Topics: b.edge, Settings: api.NewBrokerConfig(b.current.Load), LogDirs: logDirs{b}, Loggers: b.loggers},
	}
}

// durability is samsa.durability.
func durability(conf *config.Broker) dir.Durability {
	if conf.Journal {
		return dir.Journal
	}
	return dir.Kafka
}

func durabilityName(conf *config.Broker) string {
	if conf.Journal {
		return "journal"
	}
	return "kafka"
}

// descriptorLimit is how many segment files may be open at once: what the
// process may have, less a share for connections.
func descriptorLimit() int { return descriptors() / 2 }

// connectionLimit is how many connections leave the segment files their share,
// and everything else a small one: a flood of connections must not keep a log
// from opening its next segment.
func connectionLimit() int {
	n := descriptors()
	return n - n/2 - min(64, n/8)
}

// descriptors is how many the process may open.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(uint64(limit.Cur), 1<<20))
}
