// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

var errCrash = errors.New("crash")

// fault counts steps and fails from a chosen one on: the broker is dead then.
type fault struct {
	mu   sync.Mutex
	seen int
	at   int   // 0: never
	err  error // what the step returns
	once bool  // only this step fails
}

func (f *fault) step() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	if f.at > 0 && (f.seen == f.at || f.seen > f.at && !f.once) {
		return f.err
	}
	return nil
}

// disk is a fake of the broker's replicas that remembers what lies in the log
// directories, across restarts.
type disk struct {
	t     *testing.T
	fault *fault
	fails map[string]error // "lead a-0", "stop a-0"

	mu    sync.Mutex
	logs  map[meta.Partition]*log
	calls []string
}

type log struct {
	id    meta.TopicID
	epoch int32
}

func newDisk(t *testing.T) *disk {
	return &disk{t: t, fault: &fault{}, fails: map[string]error{}, logs: map[meta.Partition]*log{}}
}

func (d *disk) Lead(l Leadership) error {
	if err := d.fault.step(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf("lead %s epoch=%d/%d isr=%v new=%t adopted=%t %v", l.Partition, l.LeaderEpoch, l.PartitionEpoch, l.ISR, l.New, l.Adopted, l.Config))
	if err := d.fails["lead "+l.Partition.String()]; err != nil {
		return err
	}
	have := d.logs[l.Partition]
	switch {
	case have == nil && !l.New:
		d.t.Errorf("%s has no log and is not said to be new", l.Partition)
	case have == nil:
		d.logs[l.Partition] = &log{l.Topic, l.LeaderEpoch}
	case have.id != l.Topic:
		d.t.Errorf("%s lies there with id %s, %s shall lead", l.Partition, have.id, l.Topic)
	case l.LeaderEpoch <= have.epoch:
		d.t.Errorf("%s was led in epoch %d, now in %d", l.Partition, have.epoch, l.LeaderEpoch)
	default:
		have.epoch = l.LeaderEpoch
	}
	return d.fault.step()
}

func (d *disk) Stop(p meta.Partition, remove bool) error {
	if err := d.fault.step(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf("stop %s remove=%t", p, remove))
	if err := d.fails["stop "+p.String()]; err != nil {
		return err
	}
	delete(d.logs, p)
	return d.fault.step()
}

func (d *disk) Configure(topic string, config map[string]string, adopted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf("configure %s %v adopted=%t", topic, config, adopted))
}

// found lists the logs as engine/dir would: all named by the journal.
func (d *disk) found() []Found {
	var out []Found
	for _, p := range slices.SortedFunc(maps.Keys(d.logs), comparePartitions) {
		out = append(out, Found{Topic: p.Topic, Partition: p.Index, ID: d.logs[p].id, LastEpoch: d.logs[p].epoch, Named: true, Dir: "d1"})
	}
	return out
}

func (d *disk) remove(found []Found, remove []int) {
	for _, i := range remove {
		delete(d.logs, found[i].id())
	}
}

func testOptions(dirs ...string) Options {
	return Options{
		Dirs: dirs,
		Broker: meta.Broker{ID: 1, Endpoints: []meta.Endpoint{
			{Listener: "INTERNAL", Host: "10.0.0.1", Port: 9093, Protocol: "SSL"},
			{Listener: "PLAINTEXT", Host: "localhost", Port: 9092, Protocol: "PLAINTEXT"}}},
		Defaults: controller.Defaults{Partitions: 2, ReplicationFactor: 1},
		Internal: map[string]meta.NewTopic{meta.OffsetsTopic: {Partitions: 3, ReplicationFactor: 3, Config: map[string]string{"cleanup.policy": "compact"}}},
		Now:      func() time.Time { return time.UnixMilli(1_700_000_000_000) },
	}
}
