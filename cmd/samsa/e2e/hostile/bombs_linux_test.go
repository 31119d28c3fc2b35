// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// Bombs of every codec, eight at once, half of them for a topic that compresses
// anew: bytes that are no records, and good records up to more than the broker
// opens. Whatever they would become, the broker grows by no more than its budget
// and twice what it received.
//
// The bombs keep every processor busy and the line, too. So the victim's p99 may
// double against what it is while another process keeps the processors busy and
// the same bytes come at the same pace with a wrong checksum, which the broker
// finds before it opens them. The difference is what opening them does.
func TestBombs(t *testing.T) {
	s := begin(t, map[string]string{"message.max.bytes": "4000000"})
	e2e.CreateTopic(t, s.b.Addr, "plain", 1, nil)
	e2e.CreateTopic(t, s.b.Addr, "recompressed", 1, map[string]string{"compression.type": "zstd"})
	while := size(700*time.Millisecond, 2*time.Second)
	for _, bomb := range append(e2e.Bombs(1<<20), e2e.GoodBombs(1<<20)...) {
		s.again()
		const at = 8
		var dropped int64
		var p99, base time.Duration
		peak := 0
		for range 4 { // a busy machine spoils one; a slow broker all
			base = s.v.during(func() {
				burnt := make(chan error, 1)
				go func() { _, err := flood(order{Burn: runtime.NumCPU(), For: while}); burnt <- err }()
				s.drop(duds(bomb), at, while)
				if err := <-burnt; err != nil {
					t.Fatal(err)
				}
			})
			p99 = s.v.during(func() { dropped = s.drop(bomb, at, while) })
			if peak = max(peak, s.peak); p99 <= max(2*base, slack()) {
				break
			}
		}
		bound := budgetBytes + 2*at*len(bomb.Records)
		t.Logf("%s: %d of %d KiB, %d at once: p99 %v (beside busy processors %v), resident memory %+.1f MiB (at most %.1f)", bomb.Name, dropped,
			len(bomb.Records)>>10, at, p99.Round(10*time.Microsecond), base.Round(10*time.Microsecond), mib(peak), mib(bound))
		if peak > bound {
			t.Errorf("%s: the broker grew by %.1f MiB", bomb.Name, mib(peak))
		}
		if p99 > max(2*base, slack()) {
			t.Errorf("%s: the victim's p99 rose from %v to %v", bomb.Name, base, p99)
		}
	}
	s.over()
}

// duds are bombs with a wrong checksum.
func duds(bomb e2e.HostileBatch) e2e.HostileBatch {
	const checksum = 17
	bomb.Records = bytes.Clone(bomb.Records)
	bomb.Records[checksum] ^= 1
	return bomb
}

// bombPace is the time between two bombs of a connection, at least: as many bytes
// as the line carries would delay others whatever they are.
const bombPace = 250 * time.Millisecond

// drop sends a bomb on so many connections at once, again and again for d, and
// tells how often. Meanwhile it notes in s.peak how far the broker's memory grew.
func (s *scene) drop(bomb e2e.HostileBatch, at int, d time.Duration) (dropped int64) {
	s.t.Helper()
	var all sync.WaitGroup
	var n atomic.Int64
	began := time.Now()
	for i := range at {
		c, ask := s.dial(i), frame(e2e.ProduceRequest([]string{"plain", "recompressed"}[i%2], 0, bomb.Records))
		all.Go(func() {
			<-time.After(bombPace * time.Duration(i) / time.Duration(at)) // not all at the same moment
			pace := time.NewTicker(bombPace)
			defer pace.Stop()
			for ; time.Since(began) < d; <-pace.C {
				if code, err := produceRaw(c, ask); err != nil || code != 0 && code != messageTooLarge && code != invalidRecord && code != corruptMessage {
					s.t.Errorf("%s: code %d, %v", bomb.Name, code, err)
					return
				}
				n.Add(1)
			}
		})
	}
	over := make(chan struct{})
	go func() { all.Wait(); close(over) }()
	s.peak = 0
	for {
		s.peak = max(s.peak, s.resident()-s.before.resident)
		select {
		case <-over:
			s.hangUp()
			return n.Load()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// The codes that bombs get.
const corruptMessage, messageTooLarge, invalidRecord = 2, 10, 87

// produceRaw sends an encoded Produce of one partition and reads its code.
func produceRaw(c net.Conn, ask []byte) (code int16, err error) {
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write(ask); err != nil {
		return 0, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return 0, err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, answer); err != nil {
		return 0, err
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = e2e.ProduceRequest("", 0, nil).Version
	body := answer[4:]
	if resp.IsFlexible() {
		body = body[1:] // no tags
	}
	if err := resp.ReadFrom(body); err != nil {
		return 0, err
	}
	return resp.Topics[0].Partitions[0].ErrorCode, nil
}
