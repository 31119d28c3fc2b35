// SPDX-License-Identifier: Apache-2.0

package powercut

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// With samsa.durability=kafka an acknowledgement means the page cache, and
// flush.messages and flush.ms say when it means more: with flush.messages=1
// every acknowledged record survives a cut, with flush.ms all that are older.
// The broker's keys say it for topics that do not.
func TestFlushSettingsAct(t *testing.T) {
	needFuse(t)
	for _, c := range []struct {
		key, value string
		wait       bool
	}{{"flush.messages", "1", false}, {"flush.ms", "100", true}, {"log.flush.interval.messages", "1", false},
		{"log.flush.interval.ms", "100", true}, {"log.flush.scheduler.interval.ms", "100", true}} {
		t.Run(c.key, func(t *testing.T) {
			props, own := map[string]string{"samsa.durability": "kafka"}, map[string]string{}
			if strings.HasPrefix(c.key, "log.") {
				props[c.key] = c.value
			} else {
				own[c.key] = c.value
			}
			s := powerOn(t, uint64(time.Now().UnixNano()), props, e2e.Options{})
			e2e.CreateTopic(t, s.broker.Addr, "flushed", 1, own)
			var want []string
			for i := range 30 {
				want = append(want, fmt.Sprint("record ", i))
				e2e.Produce(t, s.broker.Addr, "flushed", 0, want[i:])
			}
			if c.wait {
				e2e.Eventually(t, 20*time.Second, func() error { return s.disk.unsynced("flushed-0") })
			} else if err := s.disk.unsynced("flushed-0"); err != nil {
				t.Error(err)
			}
			s.cut()
			got := e2e.ReadAll(t, s.broker.Addr, "flushed")[0]
			if len(got) != len(want) || got[29].Value != want[29] {
				t.Fatalf("%d of %d records are left", len(got), len(want))
			}
		})
	}
}

// unsynced tells which segment of a partition has writes that are not durable.
func (d *Disk) unsynced(partition string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := d.root.names[partition]
	if dir == nil {
		return fmt.Errorf("no directory %s", partition)
	}
	for name, file := range dir.names {
		if len(name) > 4 && name[len(name)-4:] == ".log" && len(file.writes) > 0 {
			return fmt.Errorf("%s/%s has %d writes that are not synced", partition, name, len(file.writes))
		}
	}
	return nil
}
