// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
	"github.com/samsa-broker/samsa/wire/api"
	"github.com/samsa-broker/samsa/wire/frame"
)

// keys39 are the API keys of a Kafka 3.9 broker in ZooKeeper mode.
func keys39() (keys []int16) {
	for key := int16(0); key <= 69; key++ {
		if key >= 52 && key <= 55 || key == 59 || key >= 62 && key <= 64 || kmsg.RequestForKey(key) == nil {
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

// decoder is how the server makes requests of bodies: kmsg behind a shape, and
// the two hot codecs.
type decoder struct {
	shapes  shapes
	produce frame.ProduceRequest
	fetch   frame.FetchRequest
}

func newDecoder(t testing.TB) *decoder {
	d := &decoder{}
	for _, key := range keys39() {
		h := api.Handler{Key: key, Max: kmsg.RequestForKey(key).MaxVersion(), Raw: key < 2}
		if err := d.shapes.learn(&h); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (d *decoder) versions(key int16) int16 {
	switch key {
	case 0:
		return frame.MaxProduce
	case 1:
		return frame.MaxFetch
	}
	return kmsg.RequestForKey(key).MaxVersion()
}

func (d *decoder) decode(key, version int16, body []byte) error {
	switch key {
	case 0:
		return d.produce.Decode(version, body)
	case 1:
		return d.fetch.Decode(version, body)
	}
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	return d.shapes.read(req, body)
}

// allocated is what f allocates, in bytes. Other goroutines may add to it, so
// the least of three tries counts once one is above enough.
func allocated(enough uint64, f func()) (least uint64) {
	least = 1 << 62
	for try := 0; try < 3 && least > enough; try++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// Every length of every request of every version lies, one at a time: what
// cannot be is refused, at once and before anything is allocated for it. (The
// class of CVE-2026-111115 and -111108.)
func TestLyingLengths(t *testing.T) {
	d := newDecoder(t)
	const errorText = 4096 // an error and what it wraps
	bodies, lengths := 0, 0
	for _, key := range keys39() {
		for version := int16(0); version <= d.versions(key); version++ {
			req, body := hostiletest.Request(key, version)
			if err := d.decode(key, version, body); err != nil {
				t.Fatalf("key %d v%d: one of everything: %v", key, version, err)
			}
			for _, l := range hostiletest.Lengths(req) {
				lengths++
				for _, lie := range l.Lies(body) {
					bodies++
					var err error
					began := time.Now()
					most := uint64(len(lie.Bytes)+1)*decodeFactor + errorText
					n := allocated(most, func() { err = d.decode(key, version, lie.Bytes) })
					if lie.Must && err == nil {
						t.Errorf("key %d v%d: %s was taken", key, version, lie.Name)
					}
					if n > most {
						t.Errorf("key %d v%d: %s allocated %d for %d bytes", key, version, lie.Name, n, len(lie.Bytes))
					}
					if took := time.Since(began); took > time.Second {
						t.Errorf("key %d v%d: %s took %v", key, version, lie.Name, took)
					}
				}
			}
		}
	}
	t.Logf("%d lengths, %d bodies", lengths, bodies)
	if lengths < 1500 {
		t.Errorf("only %d lengths were found", lengths)
	}
}

// Lists of as many elements as the bytes behind them could hold, one list at a
// time and all at once, never become more than what is charged for decoding.
func TestWorstCaseOfDecoding(t *testing.T) {
	d := newDecoder(t)
	worst, where := 0.0, ""
	try := func(key, version int16, name string, body []byte) {
		n := allocated(uint64(len(body)+1)*decodeFactor, func() { _ = d.decode(key, version, body) })
		if f := float64(n) / float64(len(body)); f > worst {
			worst, where = f, fmt.Sprintf("key %d v%d %s", key, version, name)
		}
		if n > uint64(len(body)+1)*decodeFactor {
			t.Errorf("key %d v%d: %s: %d bytes became %d", key, version, name, len(body), n)
		}
	}
	for _, key := range keys39() {
		if key < 2 {
			continue // their slices are kept and grow with what was read
		}
		for version := int16(0); version <= d.versions(key); version++ {
			req, _ := hostiletest.Request(key, version)
			fields, set := hostiletest.Lists(req)
			for i, name := range fields {
				set(i, 2000)
				full := req.AppendTo(nil)
				set(i, 1)
				if len(full) < 2000 {
					continue // not in this version
				}
				try(key, version, name, full)
			}
			body := req.AppendTo(nil)
			padded := append(bytes.Clone(body), make([]byte, 32<<10)...)
			all := hostiletest.Lengths(req)
			slices.SortFunc(all, func(a, b hostiletest.Length) int { return a.At - b.At })
			all = slices.CompactFunc(all, func(a, b hostiletest.Length) bool { return a.At == b.At })
			for i, l := range all {
				try(key, version, "claims in "+l.Field, claim(padded, all[i:i+1]))
			}
			try(key, version, "claims everywhere", claim(padded, all))
			if req.IsFlexible() { // Fill's one tag, of five bytes, ends the body
				flood := binary.AppendUvarint(body[:len(body)-5:len(body)-5], 10_000)
				for i := range uint64(10_000) {
					flood = append(binary.AppendUvarint(flood, 2000+i), 0)
				}
				try(key, version, "a flood of tags", flood)
			}
		}
	}
	t.Logf("the most: %.1f bytes a byte, %s", worst, where)
}

// claim makes each of the lengths as large as what follows it.
func claim(body []byte, lengths []hostiletest.Length) []byte {
	b := bytes.Clone(body)
	for i := len(lengths) - 1; i >= 0; i-- {
		l := lengths[i]
		left := len(b) - l.At - l.Size
		var word []byte
		switch {
		case l.Compact:
			word = binary.AppendUvarint(nil, uint64(left)+1)
		case l.Size == 4:
			word = binary.BigEndian.AppendUint32(nil, uint32(left))
		default:
			continue
		}
		b = append(append(append([]byte(nil), b[:l.At]...), word...), b[l.At+l.Size:]...)
	}
	return b
}

// CVE-2022-34917: peers that had not logged in made the broker allocate what
// their frames announced. Announcements, a little at a time and of every kind of
// request, cost no more than what has really come.
func TestCVE_2022_34917_AnnouncedFrames(t *testing.T) {
	r := newRig(t, Limits{}, echo(keyEcho), versions())
	idle := r.dial()
	idle.send(request(keyEcho, 3, 1, nil))
	idle.receive()
	const conns = 200
	n := allocated(0, func() {
		for i := range conns {
			c := r.dial()
			whole := request(keyEcho, 3, 1, nil)
			binary.BigEndian.PutUint32(whole, 99<<20)
			c.send(whole[:5+i%len(whole[5:])])
		}
		idle.send(request(keyEcho, 3, 2, nil))
		idle.receive()
	})
	if n > conns*(64<<10) {
		t.Errorf("%d bytes a connection", n/conns)
	}
	r.server.frames.mu.Lock()
	defer r.server.frames.mu.Unlock()
	if r.server.frames.used != 0 {
		t.Errorf("%d bytes reserved", r.server.frames.used)
	}
}
