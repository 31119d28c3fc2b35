// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/loggers"
	"github.com/samsa-broker/samsa/controller/embedded"
	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/replica/group"
	"github.com/samsa-broker/samsa/wire/server"
)

// What the rooms tell becomes log lines and counters here, and only here.

// controllerEvents are the cluster's metadata.
func (b *broker) controllerEvents() *embedded.Events {
	log := b.loggers.Logger(loggers.Controller)
	return &embedded.Events{
		Notice: func(text string) { log.Info(text) },
		Wrote:  func(took time.Duration, err error) { log.Debug("decision written", "took", took, "err", err) },
	}
}

// logEvents are one log's.
func (b *broker) logEvents() *engine.Events {
	log := b.loggers.Logger(loggers.Engine)
	return &engine.Events{
		Recovered: func(name string, r engine.Recovery) {
			b.metrics.recovered.Add(r.BytesRead)
			b.metrics.recovery.logs.Add(1)
			b.metrics.recovery.segments.Add(r.BytesRead)
			b.metrics.recovery.unflushed.Add(r.BytesAbove)
			if r.BytesTruncated > 0 || r.Removed > 0 {
				log.Warn("log was cut", "log", name, "bytes", r.BytesTruncated, "segments", r.Removed, "end", int64(r.End), "why", r.Reason)
			}
		},
		Truncated: func(name string, end engine.Offset, bytes int64) {
			log.Info("log truncated", "log", name, "end", int64(end), "bytes", bytes)
		},
		Rebuilt: func(name, file, why string) { log.Info("made anew", "log", name, "file", file, "why", why) },
		Failed:  func(name string, err error) { log.Error("log failed", "log", name, "err", err) },
	}
}

// dirEvents are one log directory's.
func (b *broker) dirEvents(index int) *dir.Events {
	log := b.loggers.Logger(loggers.Dir)
	return &dir.Events{
		Opened: func(path string, o dir.Opening) {
			b.foreign = b.foreign || o.Foreign
			log.Info("directory opened", "dir", path, "logs", o.Logs, "clean", o.Clean, "foreign", o.Foreign)
		},
		Started: func(path string, s dir.Started) {
			b.direct[index] = s.Direct
			b.metrics.recovered.Add(s.BytesRead + s.BytesSearched + s.BytesRecalled)
			b.metrics.recovery.segments.Add(s.BytesRecalled)
			b.metrics.recovery.journal.Add(s.BytesRead)
			b.metrics.recovery.searched.Add(s.BytesSearched)
			b.metrics.recovery.unflushed.Add(s.Bytes)
			if s.WhyNot != nil {
				log.Info("journal goes through the page cache", "dir", path, "why", s.WhyNot)
			}
			if s.Entries > 0 || s.Torn {
				log.Info("journal replayed", "dir", path, "groups", s.Groups, "entries", s.Entries, "bytes", s.BytesRead,
					"searched", s.BytesSearched, "appended", s.Appended, "kept", s.Kept, "skipped", s.Skipped, "torn", s.Torn, "took", s.Took)
			}
		},
		Fenced: func(path string, err error) {
			log.Error("directory fenced: its partitions are offline until the next start", "dir", path, "err", err)
		},
		Full: func(path string, err error) { log.Warn("no space: producers wait", "dir", path, "err", err) },
		Slow: func(path string, slow bool) { // on a loop: attributes are made without allocating
			log.LogAttrs(context.Background(), slog.LevelDebug, "directory changed its pace", slog.String("dir", path), slog.Bool("slow", slow))
		},
		Ignored: func(path, name, why string) {
			log.Info("not a log, left alone", "dir", path, "name", name, "why", why)
		},
		Repaired: func(path, file, why string) { log.Warn("begun anew", "dir", path, "file", file, "why", why) },
		Dropped: func(path string, d dir.Drop) {
			log.Error("journaled records were not brought back", "dir", path, "log", d.Log, "from", d.From, "to", d.To, "why", d.Why)
		},
		Checkpoint: func(path string, took time.Duration, err error) {
			if err != nil {
				log.Error("checkpoint failed", "dir", path, "err", err)
				return
			}
			log.Debug("checkpoint", "dir", path, "took", took)
		},
		Removed: func(path, name string, err error) {
			if err != nil {
				log.Warn("deleted log could not be removed", "dir", path, "name", name, "err", err)
			}
		},
	}
}

// replicaEvents are the partitions'.
func (b *broker) replicaEvents() *replica.Events {
	log := b.loggers.Logger(loggers.Replica)
	return &replica.Events{
		Offline: func(id meta.Partition, err error) {
			log.Error("partition is offline", "partition", id.String(), "err", err)
		},
		WriteFailed: func(id meta.Partition, err error) {
			b.metrics.failures.Add(1)
			log.Warn("append refused", "partition", id.String(), "err", err)
		},
		Written: func(appends, bytes int) {
			b.metrics.turns.Add(1)
			b.metrics.appends.Add(int64(appends))
			b.metrics.appendBytes.Add(int64(bytes))
		},
		Expired: func(id meta.Partition, segments int) {
			b.metrics.expired.Add(int64(segments))
			log.Info("retention removed segments", "partition", id.String(), "segments", segments)
		},
		ExpireFailed: func(id meta.Partition, err error) {
			log.Warn("retention could not remove", "partition", id.String(), "err", err)
		},
	}
}

// groupEvents are the group coordinator's: why groups rebalance is what people
// ask when consumers stand still.
func (b *broker) groupEvents() *group.Events {
	log := b.loggers.Logger(loggers.Group)
	return &group.Events{
		Rebalancing: func(name string, generation int32, why string) {
			log.Info("group rebalances", "group", name, "generation", generation, "why", why)
		},
		MemberRemoved: func(name, member, why string) {
			log.Info("member removed", "group", name, "member", member, "why", why)
		},
		WriteFailed: func(name string, err error) { log.Warn("group record not written", "group", name, "err", err) },
		RecordSkipped: func(partition int32, offset int64, err error) {
			log.Warn("group record skipped", "partition", partition, "offset", offset, "err", err)
		},
		LoadFailed: func(partition int32, err error) {
			log.Error("groups could not be loaded", "partition", partition, "err", err)
		},
	}
}

// serverEvents are the connections'.
func (b *broker) serverEvents() server.Events {
	log := b.loggers.Logger(loggers.Server)
	m := b.metrics
	return server.Events{
		Opened: func(listener string, remote netip.AddrPort) {
			m.opened.Add(1)
			if log.Enabled(context.Background(), slog.LevelDebug) { // what is not said costs no allocation
				log.Debug("connection opened", "listener", listener, "from", remote.String())
			}
		},
		Closed: func(listener string, remote netip.AddrPort, why error) {
			m.closed.Add(1)
			if log.Enabled(context.Background(), slog.LevelDebug) {
				log.Debug("connection closed", "listener", listener, "from", remote.String(), "why", why)
			}
		},
		Refused: func(listener string, remote netip.AddrPort, why error) {
			m.refused.Add(1)
			if log.Enabled(context.Background(), slog.LevelDebug) {
				log.Debug("connection refused", "listener", listener, "from", remote.String(), "why", why)
			}
		},
		Served: func(s server.Served) {
			m.served(s)
			if log.Enabled(context.Background(), loggers.LevelTrace) {
				log.Log(context.Background(), loggers.LevelTrace, "request served", "key", s.Key, "version", s.Version,
					"in", s.InBytes, "out", s.OutBytes, "queued", s.Queued, "took", s.Took)
			}
		},
		Warn:    func(line string) { log.Warn(line) },
		Waiting: func(n int) { m.waiting.Store(int64(n)) },
		Cold:    func(bytes int) { m.coldBytes.Add(int64(bytes)) },
	}
}
