// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// Errors of Open. ErrLocked and ErrCorrupt are the others.
var (
	ErrTwoStores = errors.New("embedded: two log directories hold a store")
	ErrClusterID = errors.New("embedded: the store belongs to another cluster")
	ErrBrokerID  = errors.New("embedded: the store belongs to another broker")
)

// Replicas is what the edge drives: the broker's replicas. The methods block
// until they have done it and may be called from several goroutines at once,
// for different partitions.
type Replicas interface {
	// Lead makes this broker lead a partition, in a new epoch.
	Lead(Leadership) error
	// Stop ends a replica and, if remove, its log.
	Stop(p meta.Partition, remove bool) error
	// Configure applies what is set on a topic to its replicas.
	Configure(topic string, config map[string]string, adopted bool)
}

// Leadership is all a replica must know to lead.
type Leadership struct {
	Partition      meta.Partition
	Topic          meta.TopicID
	LeaderEpoch    int32
	PartitionEpoch int32
	ISR, Replicas  []meta.BrokerID
	Config         map[string]string // what is set on the topic; read only
	Adopted        bool              // delete and compact nothing
	New            bool              // there may be no log yet: create it
}

// Events tells what happens; any field may be nil.
type Events struct {
	Notice func(text string)                 // something an operator should read once
	Wrote  func(took time.Duration, e error) // a decision was written, or was not
}

// Options configure an Edge.
type Options struct {
	Dirs       []string    // log.dirs; a new store is made in the first
	Broker     meta.Broker // this broker, as clients shall see it
	ClusterID  string      // from meta.properties; "": not known
	Defaults   controller.Defaults
	Internal   map[string]meta.NewTopic // how the broker's own topics are created on demand
	NoDeletion bool                     // delete.topic.enable=false
	// Reconfigure applies what is set on all brokers and on this one while they
	// run: in Open, where something is stored, and at each change, before the
	// replicas are configured anew. It gives this broker as clients shall see it
	// from now on. nil: nothing of it acts.
	Reconfigure func(BrokerConfigs) meta.Broker
	Now         func() time.Time
	Events      *Events
}

// Edge runs the controller of a broker that stands alone. Any goroutine, but
// Adopt and Start come first, once each, in this order.
type Edge struct {
	runner
	id  meta.TopicID // the store's identity, 16 random bytes like a topic's
	mu  sync.Mutex   // one decision at a time; taken before ids.mu
	ids producerIDs

	version atomic.Int64 // of what the store holds durably
	phase   phase
}

// phase is how far an Edge has come.
type phase uint8

const (
	opened phase = iota
	adopted
	started
	closed
)

// Open finds the store in the log directories and reads it. Where there is
// none, one is prepared in memory and made by Adopt, so that a start which is
// refused before that leaves no trace.
func Open(o Options) (*Edge, error) {
	if o.Events == nil {
		o.Events = &Events{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if f := o.Defaults.ReplicationFactor; f > 1 {
		o.Defaults.ReplicationFactor = 1
		say(o.Events, "default.replication.factor=%d is taken as 1: this broker stands alone", f)
	}
	o.Internal = maps.Clone(o.Internal)
	for name, t := range o.Internal {
		t.ReplicationFactor = min(t.ReplicationFactor, 1)
		o.Internal[name] = t
	}
	e := &Edge{runner: runner{o: o, machine: controller.NewMachine(), topics: map[string]*stored{}}}
	path, err := find(o.Dirs)
	if err != nil {
		return nil, err
	}
	if path == "" {
		e.id, e.cluster = meta.NewTopicID(), o.ClusterID
		if e.cluster == "" {
			e.cluster = meta.NewTopicID().String()
		}
		return e, nil
	}
	if e.store, err = openStore(path, o.Now, &e.version); err != nil {
		return nil, err
	}
	err = e.readIdentity()
	if err == nil {
		err = e.load(true)
	}
	if err != nil {
		e.store.close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if c := e.configs; o.Reconfigure != nil && len(c.All)+len(c.Own) > 0 {
		e.o.Broker = o.Reconfigure(c)
	}
	e.unveil()
	return e, nil
}

// find looks for the store in every log directory.
func find(dirs []string) (string, error) {
	var found string
	for _, d := range dirs {
		path := filepath.Join(d, FileName)
		switch _, err := os.Stat(path); {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return "", fmt.Errorf("embedded: look for the store: %w", err)
		case found != "":
			return "", fmt.Errorf("%w: %s and %s; keep the newer one", ErrTwoStores, found, path)
		default:
			found = path
		}
	}
	return found, nil
}

func (e *Edge) readIdentity() error {
	return e.store.view(func(t *txn) error {
		if n := copy(e.id[:], t.own.Get(keyStore)); n != len(e.id) {
			return fmt.Errorf("%w: no identity", ErrCorrupt)
		}
		n, ok, err := t.get(controller.PathClusterID)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: no cluster id", ErrCorrupt)
		}
		if e.cluster, err = controller.DecodeClusterID(n.data); err != nil {
			return err
		}
		if e.o.ClusterID != "" && e.o.ClusterID != e.cluster {
			return fmt.Errorf("%w: %s; meta.properties names %s", ErrClusterID, e.cluster, e.o.ClusterID)
		}
		return nil
	})
}

// StoreID is the store's identity, for the checkpoints that refer to it.
func (e *Edge) StoreID() [16]byte { return e.id }

// StoreVersion is the version of what the store holds durably, 0 before there is
// one. It grows with every change: a store of a smaller one is an older copy.
func (e *Edge) StoreVersion() int64 { return e.version.Load() }

// StoreFile is where the store is, or its name before there is one.
func (e *Edge) StoreFile() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.store == nil {
		return FileName
	}
	return e.store.db.Path()
}

// ClusterID is the cluster's id: the store's, that of meta.properties, or a new
// one, in this order.
func (e *Edge) ClusterID() string { return e.cluster }

// Fresh tells whether the store is a new one; false after Adopt.
func (e *Edge) Fresh() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.store == nil
}

// Image gives the newest picture of the cluster. Before Start it shows what is
// stored, for those who load logs: topics and their settings, nobody alive.
func (e *Edge) Image() *meta.Image { return e.images.Load() }

// Images is where new pictures are published.
func (e *Edge) Images() *meta.Store { return &e.images }

// Close ends the edge; decisions under way are finished first.
func (e *Edge) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.phase = closed
	e.serving.Store(false)
	e.ids.mu.Lock()
	defer e.ids.mu.Unlock()
	if e.store == nil {
		return nil
	}
	return e.store.close()
}

// ready tells whether a decision may be taken now.
func (e *Edge) ready() error {
	if e.broken != nil {
		return storageError(e.broken)
	}
	if e.phase != started {
		return meta.ErrStopped
	}
	return nil
}

func say(ev *Events, format string, args ...any) {
	if ev.Notice != nil {
		ev.Notice(fmt.Sprintf(format, args...))
	}
}
