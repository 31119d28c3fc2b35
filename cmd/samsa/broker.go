// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/loggers"
	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/embedded"
	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/replica/group"
	"github.com/samsa-broker/samsa/wire/api"
	"github.com/samsa-broker/samsa/wire/server"
)

// garbagePercent lets the heap grow fivefold between collections: records and
// buffers are not on it, so it is small. Who gives the broker less memory than
// the default has it grow less, to twice at least.
func garbagePercent(conf *config.Broker) int {
	const most, least, usual = 400, 100, 256 << 20
	if m := memoryBytes(conf); m > 0 && m < usual {
		return max(least, int(m*most/usual))
	}
	return most
}

// broker is the running broker: its rooms, in the order they are opened.
type broker struct {
	conf    *config.Broker                // what it started with
	current atomic.Pointer[config.Broker] // with what was set while it runs: see reconfigure
	id      int32                         // broker.id, or what meta.properties says
	loggers *loggers.Tree
	log     *slog.Logger // the broker's own
	fs      vfs.FS       // of the log directories
	metrics *metrics
	admin   *admin
	loops   *loops
	files   *pool            // file work of replicas and groups
	calls   *pool            // slow handlers; they may wait for files, so the pools are two
	lost    map[string]error // of log.dirs, those that cannot be used, and why
	dirs    []*dir.Dir       // in the order of log.dirs, the lost ones too
	direct  []bool           // by directory: the journal is written past the page cache
	foreign bool             // another broker ran on a directory since we did
	edge    *embedded.Edge
	set     *replica.Set
	host    *group.Host
	parts   *partitions
	server  *server.Server
	stop    chan struct{} // ends the tickers
	tickers sync.WaitGroup
}

// openBroker opens every room and serves, with log directories on fs. On an
// error what was opened is closed again.
func openBroker(conf *config.Broker, all *loggers.Tree, fs vfs.FS) (*broker, error) {
	debug.SetGCPercent(garbagePercent(conf))
	b := &broker{conf: conf, loggers: all, log: all.Logger(loggers.Broker), fs: fs, metrics: &metrics{}, stop: make(chan struct{})}
	b.current.Store(conf)
	b.files = newPool(max(4, 2*runtime.NumCPU()))
	b.calls = newPool(max(8, 4*runtime.NumCPU()))
	if err := b.open(); err != nil {
		b.abandon()
		return nil, err
	}
	return b, nil
}

func (b *broker) open() (err error) {
	if b.admin, err = openAdmin(b.conf.AdminListener, b.metrics); err != nil {
		return err
	}
	if b.loops, err = openLoops(b.conf.Netpoll, b.conf.EventLoops, b.loggers.Logger(loggers.Netpoll)); err != nil {
		return err
	}
	listeners, err := b.listen()
	if err != nil {
		return err
	}
	if err := b.openStorage(); err != nil {
		return err
	}
	if err := b.lead(); err != nil {
		return err
	}
	if err := b.serve(listeners); err != nil {
		return err
	}
	b.tick()
	return nil
}

// listen binds every listener before the disks are touched: a taken port is
// told at once. Connections wait in the backlog until the broker serves.
func (b *broker) listen() ([]*netpoll.Listener, error) {
	var all []*netpoll.Listener
	for i := range b.conf.Listeners {
		l := &b.conf.Listeners[i]
		ln, err := b.listenOn(l.HostPort())
		if err != nil {
			return nil, fmt.Errorf("listeners=%s: %w", l, err)
		}
		all = append(all, ln)
	}
	return all, nil
}

// portWithin is how long a taken port is waited for: the kernel lets go of a
// killed broker's ring, and of the listener in it, a moment after the process.
const portWithin = 3 * time.Second

func (b *broker) listenOn(addr string) (*netpoll.Listener, error) {
	deadline := time.Now().Add(portWithin)
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		ln, err := netpoll.Listen(addr, listenOptions(b.conf))
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return ln, err
		}
		<-retry.C
	}
}

// openStorage opens the metadata store and the log directories, brings logs
// and journals back, and settles which logs belong to which topics.
func (b *broker) openStorage() error {
	if err := b.probeDirs(); err != nil {
		return err
	}
	cluster, err := b.identify()
	if err != nil {
		return err
	}
	b.parts = &partitions{broker: b}
	b.edge, err = embedded.Open(embedded.Options{
		Dirs: usableDirs(b), Broker: b.self(), ClusterID: cluster,
		Defaults:   controller.Defaults{Partitions: b.conf.NumPartitions, ReplicationFactor: b.conf.DefaultReplicationFactor},
		Internal:   internalTopics(b.conf),
		NoDeletion: !b.conf.DeleteTopics,
		Now:        time.Now,
		Events:     b.controllerEvents(), Reconfigure: b.reconfigure,
	})
	if err != nil {
		return err
	}
	for _, step := range []func() error{b.storeReachable, b.openDirs, b.storeReachable, b.openReplicas} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// keepShare of the memory may hold journals while they are replayed.
const keepShare = 4

// openDirs opens the log directories, each with its journal on a loop.
func (b *broker) openDirs() error {
	descriptors := engine.NewDescriptors(descriptorLimit())
	for i, path := range b.conf.LogDirs {
		o := dir.Options{
			FS: b.fs, Path: path, BrokerID: b.id, ClusterID: b.edge.ClusterID(),
			Durability: durability(b.conf), Writer: newLoopWriter(b.loops.all[i%len(b.loops.all)]),
			CheckpointMs: max(1, b.conf.RecoveryCheckpointInterval.Milliseconds()),
			JournalBytes: b.conf.JournalBytes, Now: time.Now, StoreID: b.edge.StoreID(), StoreVersion: b.edge.StoreVersion,
			ProducerExpiryMs: func() int64 { return b.current.Load().ProducerIDExpiration.Milliseconds() }, Descriptors: descriptors,
			KeepBytes: memory() / keepShare / int64(len(b.conf.LogDirs)),
			Log:       b.logEvents(), Events: b.dirEvents(i),
		}
		b.direct = append(b.direct, false)
		d, err := b.openDir(o)
		if err != nil {
			return err
		}
		b.dirs = append(b.dirs, d)
		b.direct[i] = dir.IsLost(d) // the others say themselves what they are
	}
	return nil
}

// openReplicas recovers the logs, replays the journals, lets the controller
// adopt or refuse what lies there, and only then starts the directories: their
// first checkpoint names the store, and the logs as what the store knows.
func (b *broker) openReplicas() error {
	homes := make([]replica.Home, len(b.loops.all))
	for i, l := range b.loops.all {
		homes[i] = l
	}
	b.set = replica.NewSet(replica.Options{
		Broker: meta.BrokerID(b.id), Dirs: b.dirs, Homes: homes, Pool: b.files.do, Now: time.Now,
		RetentionCheck: b.conf.RetentionCheckInterval, ProducerCheck: b.conf.ProducerIDExpirationCheck,
		FirstRetention: b.conf.InitialTaskDelay,
		Events:         b.replicaEvents(),
	})
	b.metrics.set.Store(b.set)
	started := time.Now()
	if err := b.set.Recover(func(meta.Partition) *engine.Config { return b.parts.defaults() }); err != nil {
		return err
	}
	found := b.found()
	remove, err := b.edge.Adopt(found, embedded.Circumstances{AllOnline: len(b.lost) == 0, OtherBroker: b.foreign})
	if err != nil {
		return err
	}
	if err := b.set.Start(); err != nil {
		return err
	}
	if read := b.metrics.recovered.Load(); read > 0 {
		r := &b.metrics.recovery
		b.loggers.Logger(loggers.Engine).Info("recovered: read what was not flushed, from the journal and from the segments", "bytes", read,
			"unflushed", r.unflushed.Load(), "logs", r.logs.Load(), "segments", r.segments.Load(), "journal", r.journal.Load(),
			"searched", r.searched.Load(), "took", time.Since(started).Round(time.Millisecond))
	}
	for _, i := range remove {
		if err := b.set.Discard(meta.Partition{Topic: found[i].Topic, Index: found[i].Partition}); err != nil {
			return err
		}
	}
	return nil
}

// found is what lies in the directories, as the controller wants to know it.
func (b *broker) found() []embedded.Found {
	var all []embedded.Found
	for _, f := range b.set.Found() {
		b.foreign = b.foreign || f.Foreign
		epoch := max(f.Epoch, engine.LastEpochIn(b.fs, filepath.Join(f.Dir.Path(), f.Name)))
		all = append(all, embedded.Found{Topic: f.Topic, Partition: f.Partition, ID: meta.TopicID(f.ID),
			LastEpoch: int32(epoch), Named: f.Known, Dir: f.Dir.Path()})
	}
	return all
}

// lead starts the group coordinator and the controller: from here on the
// partitions are led.
func (b *broker) lead() error {
	b.host = group.NewHost(group.HostOptions{
		Options: group.Options{
			MinSessionTimeoutMs: int32(b.conf.GroupMinSession.Milliseconds()), MaxSessionTimeoutMs: int32(b.conf.GroupMaxSession.Milliseconds()),
			MaxSize: b.conf.GroupMaxSize, InitialRebalanceDelayMs: int32(b.conf.GroupInitialDelay.Milliseconds()),
			OffsetsRetentionMs: b.conf.OffsetsRetention.Milliseconds(), RetentionCheckMs: b.conf.OffsetsRetentionCheck.Milliseconds(),
			OffsetMetadataMaxBytes: b.conf.OffsetMetadataMaxBytes, Events: b.groupEvents(),
		},
		Partitions: func() int32 {
			if t := b.edge.Image().Topic(meta.OffsetsTopic); t != nil {
				return int32(len(t.Partitions))
			}
			return 0
		},
		Set: b.set, Pool: b.files.do, Now: time.Now,
	})
	err := b.edge.Start(b.parts)
	b.parts.started.Store(true)
	return err
}

// serve opens the server and lets the listeners in.
func (b *broker) serve(listeners []*netpoll.Listener) (err error) {
	limits, err := inForce{b.current.Load()}.limits()
	if err != nil {
		return err
	}
	b.server, err = server.New(server.Options{
		Loops: b.loops.all, Handlers: api.Handlers(b.deps()), Pool: b.calls.do, Limits: limits, Events: b.serverEvents(),
	})
	if err != nil {
		return err
	}
	for i, ln := range listeners {
		b.server.Serve(ln, b.conf.Listeners[i].Name)
	}
	return nil
}

// tick lets time pass for what has no clock of its own.
func (b *broker) tick() {
	b.every(100*time.Millisecond, func(now time.Time) { b.host.Tick(now.UnixMilli()) })
	b.every(time.Second, b.set.Tick)
}

func (b *broker) every(interval time.Duration, fn func(now time.Time)) {
	b.tickers.Add(1)
	go func() {
		defer b.tickers.Done()
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-b.stop:
				return
			case now := <-t.C:
				fn(now)
			}
		}
	}()
}

// readyLine is what scripts wait for.
func (b *broker) readyLine() string {
	var addrs []string
	for _, l := range b.conf.Advertised {
		addrs = append(addrs, l.String())
	}
	journal := ""
	if b.conf.Journal {
		journal = " direct=" + fmt.Sprint(!slices.Contains(b.direct, false))
	}
	lost := ""
	if len(b.lost) > 0 {
		lost = " offline=" + strings.Join(offlineDirs(b), ",")
	}
	return fmt.Sprintf("ready listeners=%s netpoll=%s loops=%d durability=%s%s log.dirs=%s%s", strings.Join(addrs, ","),
		b.loops.all[0].Name(), len(b.loops.all), durabilityName(b.conf), journal, strings.Join(b.conf.LogDirs, ","), lost)
}

// close stops cleanly: no new requests, those in flight answered, logs flushed
// and marked. What does not end by ctx is cut.
func (b *broker) close(ctx context.Context) error {
	b.admin.ready.Store(false)
	close(b.stop)
	b.tickers.Wait()
	err := b.server.Drain(ctx)
	b.calls.close()
	b.set.Close()
	b.files.close()
	for _, d := range b.dirs {
		err = errors.Join(err, d.Close(true))
	}
	err = errors.Join(err, b.edge.Close())
	b.loops.close()
	b.admin.close()
	return err
}

// abandon closes what a failed start has opened; nothing is marked clean.
func (b *broker) abandon() {
	for _, d := range b.dirs {
		_ = d.Close(false)
	}
	if b.edge != nil {
		_ = b.edge.Close()
	}
	if b.loops != nil {
		b.loops.close()
	}
	if b.admin != nil {
		b.admin.close()
	}
}
