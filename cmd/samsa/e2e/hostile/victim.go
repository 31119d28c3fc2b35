// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// victimPace is the time between two of the victim's rounds.
const victimPace = 4 * time.Millisecond

// victim is a client as it should be: it produces a record and fetches it, at a
// steady pace, on two connections.
type victim struct {
	t       testing.TB
	topic   string
	produce *e2e.Raw
	fetch   *e2e.Raw
	stop    chan struct{}
	ended   sync.WaitGroup

	mu     sync.Mutex
	took   []time.Duration
	rounds int64
	err    error
}

// newVictim starts one; the test's cleanup ends it.
func newVictim(t testing.TB, b *e2e.Broker) *victim {
	t.Helper()
	v := &victim{t: t, topic: "victim", produce: e2e.Dial(t, b.Addr), fetch: e2e.Dial(t, b.Addr), stop: make(chan struct{})}
	e2e.CreateTopic(t, b.Addr, v.topic, 1, nil)
	v.ended.Go(v.live)
	t.Cleanup(func() {
		close(v.stop)
		v.ended.Wait()
	})
	return v
}

func (v *victim) live() {
	pace := time.NewTicker(victimPace)
	defer pace.Stop()
	for {
		select {
		case <-v.stop:
			return
		case <-pace.C:
		}
		began := time.Now()
		err := v.round()
		v.mu.Lock()
		v.took = append(v.took, time.Since(began))
		if v.rounds++; err != nil && v.err == nil {
			v.err = fmt.Errorf("round %d: %w", v.rounds, err)
		}
		v.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// round produces one record and reads it back.
func (v *victim) round() error {
	req := e2e.ProduceRequest(v.topic, 0, e2e.Batch(-1, -1, -1, "a well-behaved record"))
	resp, err := v.produce.Call(req)
	if err != nil {
		return err
	}
	at := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if at.ErrorCode != 0 {
		return fmt.Errorf("produce answers %d", at.ErrorCode)
	}
	if resp, err = v.fetch.Call(e2e.FetchRequest(v.topic, 0, at.BaseOffset, 4096)); err != nil {
		return err
	}
	if p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
		return fmt.Errorf("fetch answers %d with %d bytes", p.ErrorCode, len(p.RecordBatches))
	}
	return nil
}

// p99 is the victim's over the time to come.
func (v *victim) p99(d time.Duration) time.Duration {
	v.t.Helper()
	return v.during(func() { <-time.After(d) })
}

// during is the victim's p99 while f runs.
func (v *victim) during(f func()) time.Duration {
	v.t.Helper()
	v.mu.Lock()
	v.took = v.took[:0]
	v.mu.Unlock()
	began := time.Now()
	f()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		v.t.Fatalf("the victim: %v", v.err)
	}
	if len(v.took) == 0 {
		return time.Since(began) // not one round in all that time
	}
	took := slices.Clone(v.took)
	slices.Sort(took)
	return took[(len(took)-1)*99/100]
}
