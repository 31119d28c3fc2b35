// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// served are the keys and versions that the broker advertises.
func served(t *testing.T, addr string) []kmsg.ApiVersionsResponseApiKey {
	t.Helper()
	resp, err := Dial(t, addr).Call(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.ApiVersionsResponse).ApiKeys
}

// wireFrame puts a header and a length before a body.
func wireFrame(key, version int16, body []byte) []byte {
	b := header(key, version)
	if req := kmsg.RequestForKey(key); req != nil {
		if req.SetVersion(version); req.IsFlexible() {
			b = append(b, 0)
		}
	}
	return frame(append(b, body...))
}

// put sends bytes on a connection of its own. answered is false when the broker
// closed it without a word; it fails the test when neither comes.
func put(t *testing.T, addr, what string, b []byte) (answered bool) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("%s: the broker does not accept: %v", what, err)
	}
	defer conn.Close()
	_, _ = conn.Write(b)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	var size [4]byte
	_, err = io.ReadFull(conn, size[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s: neither an answer nor the end of the connection", what)
	}
	return err == nil
}

// calm checks that the broker serves, and holds no more memory than a little.
func calm(t *testing.T, b *Broker, before int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := Client(t, b.Addr).Ping(ctx); err != nil || b.Exited() {
		t.Fatalf("the broker does not serve: %v\n%s", err, b.Log())
	}
	if strings.Contains(b.Log(), "panic") || strings.Contains(b.Log(), "BUG") {
		t.Fatalf("the broker panicked:\n%s", b.Log())
	}
	if grown := resident(t, b.PID()) - before; grown > 64<<20 && !raceEnabled {
		t.Errorf("the broker grew by %d MiB", grown>>20)
	}
}

// Every length in every request of every version served lies, on the wire: the
// connection is closed, and nobody else notices. (The class of CVE-2026-111115
// and CVE-2026-111108, which need no login.)
func TestCVE_2026_111115_LyingLengths(t *testing.T) {
	b := Start(t, Options{})
	before := resident(t, b.PID())
	sent := 0
	for _, k := range served(t, b.Addr) {
		for version := k.MinVersion; version <= k.MaxVersion; version++ {
			req, body := hostiletest.Request(k.ApiKey, version)
			for i, l := range hostiletest.Lengths(req) {
				for j, lie := range l.Lies(body) {
					if lie.Must && (i+j)%3 != 0 { // the decoders see all of them in wire/server
						continue
					}
					what := fmt.Sprintf("key %d v%d %s", k.ApiKey, version, lie.Name)
					if put(t, b.Addr, what, wireFrame(k.ApiKey, version, lie.Bytes)) && lie.Must && k.ApiKey != 18 {
						t.Errorf("%s was answered", what)
					}
					sent++
				}
			}
		}
		calm(t, b, before)
	}
	t.Logf("%d lies", sent)
}

// The header lies, too: about its client id, its tags.
func TestCVE_2026_111108_LyingHeaders(t *testing.T) {
	b := Start(t, Options{})
	before := resident(t, b.PID())
	head := []byte{0, 3, 0, 9, 0, 0, 0, 7} // Metadata v9, flexible
	varint := func(v uint64) []byte { return binary.AppendUvarint([]byte{0xff, 0xff}, v) }
	for name, rest := range map[string][]byte{
		"client id 2^15-1": {0x7f, 0xff}, "client id -2": {0xff, 0xfe, 0}, "client id -2^15": {0x80, 0, 0}, "no client id": {}, "half of its length": {0},
		"tags 20000000": varint(20_000_000), "tags 2^32-1": varint(1<<32 - 1), "tags 2^63": varint(1 << 63),
		"tag size 2^31-1": append(varint(1), binary.AppendUvarint([]byte{0}, 1<<31-1)...), "tag without size": append(varint(1), 0),
		"varint without end": append(varint(0)[:2], 0x80, 0x80, 0x80, 0x80, 0x80, 0x80),
	} {
		if put(t, b.Addr, name, frame(append(head[:8:8], rest...))) {
			t.Errorf("%s was answered", name)
		}
	}
	calm(t, b, before)
}

// Every list of every request of every version may be empty, null or hold the
// same element twice: an answer or a closed connection, never the end of the
// broker. (CVE-2026-83525: an empty topics array crashed a controller.) What
// Kafka answers is compared in conformance.
func TestCVE_2026_83525_EmptyNullAndTwice(t *testing.T) {
	b := Start(t, Options{})
	before := resident(t, b.PID())
	sent := 0
	for _, k := range served(t, b.Addr) {
		for version := k.MinVersion; version <= k.MaxVersion; version++ {
			req, _ := hostiletest.Request(k.ApiKey, version)
			fields, set := hostiletest.Lists(req)
			for i, field := range fields {
				for _, n := range []int{-1, 0, 2} {
					set(i, n)
					put(t, b.Addr, fmt.Sprintf("key %d v%d %s with %d", k.ApiKey, version, field, n), wireFrame(k.ApiKey, version, req.AppendTo(nil)))
					sent++
				}
				set(i, 1)
			}
			for i := range fields {
				set(i, -1)
			}
			put(t, b.Addr, fmt.Sprintf("key %d v%d all null", k.ApiKey, version), wireFrame(k.ApiKey, version, req.AppendTo(nil)))
		}
		calm(t, b, before)
	}
	t.Logf("%d requests", sent)
}

// A batch that lies gets the code that Kafka gives it (conformance asks a real
// one the same), and whatever was taken, the log stays one that clients and
// tools read. (CVE-2018-17196: a transactional batch without an id is refused.)
func TestHostileBatches(t *testing.T) {
	b := Start(t, Options{})
	CreateTopic(t, b.Addr, "hostile", 1, nil)
	CreateTopic(t, b.Addr, "aside", 1, nil)
	raw := Dial(t, b.Addr)
	produce := func(topic string, version int16, records []byte) (int16, int64) {
		req := ProduceRequest(topic, 0, records)
		req.Version = version
		resp, err := raw.Call(req)
		if err != nil {
			t.Fatalf("v%d: %v", version, err)
		}
		p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		return p.ErrorCode, p.BaseOffset
	}
	next := int64(0)
	for version := int16(3); version <= 11; version++ {
		for _, h := range HostileBatches() {
			topic := "hostile"
			if h.Name == "lz4 and bytes behind" || h.Name == "gzip and bytes behind" {
				topic = "aside" // Kafka takes it, and its consumer reads it; the one below does not
			}
			code, base := produce(topic, version, h.Records)
			if want := h.WantIn(version); code != want {
				t.Errorf("%s v%d: code %d, want %d", h.Name, version, code, want)
			}
			if code == fine && topic == "hostile" { // a producer's second is a duplicate of its first
				next = max(next, base+1)
			}
			if code, base = produce("hostile", version, Batch(-1, -1, -1, "between")); code != fine || base < next {
				t.Fatalf("a good batch after %s v%d: code %d at %d", h.Name, version, code, base)
			}
			next = base + 1
		}
	}
	if code, _ := produce("hostile", 9, nil); code != invalidRecord {
		t.Errorf("null records: code %d", code)
	}
	records := ReadAll(t, b.Addr, "hostile")[0]
	if n := len(records); int64(n) != next || records[n-1].Offset != next-1 {
		t.Errorf("%d records, the last at %d; the log ends at %d", n, records[n-1].Offset, next)
	}
	b.Stop()
	files, _ := filepath.Glob(filepath.Join(b.Dir, "hostile-0", "*.log"))
	for _, file := range files {
		out, errs, err := samsa(t, "log", "dump", "--deep-iteration", "--files", file)
		if err != nil || strings.Contains(out, "isvalid: false") || errs != "" {
			t.Errorf("dump of %s: %v\n%s", filepath.Base(file), err, errs)
		}
	}
}

// Four connections send bombs at once, of each codec: each is refused, the
// broker holds next to nothing of what they would become, and a client beside
// them is answered meanwhile. (CVE-2026-111073: decompressed
// sizes without a bound; CVE-2023-34455: snappy's chunk length, which is in
// HostileBatches, too.)
func TestCVE_2026_111073_Bombs(t *testing.T) {
	b := Start(t, Options{Props: map[string]string{"message.max.bytes": "4000000", "samsa.memory.bytes": "33554432"}})
	CreateTopic(t, b.Addr, "plain", 1, nil)
	CreateTopic(t, b.Addr, "recompressed", 1, map[string]string{"compression.type": "zstd"})
	before, most := resident(t, b.PID()), 0
	bystander := Dial(t, b.Addr)
	for _, bomb := range Bombs(512 << 10) {
		began := time.Now()
		codes := make(chan error, 4)
		for i := range 4 {
			raw := Dial(t, b.Addr)
			req := ProduceRequest([]string{"plain", "recompressed"}[i%2], 0, bomb.Records)
			go func() {
				resp, err := raw.Call(req)
				if err == nil {
					if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != messageTooLarge && code != invalidRecord {
						err = fmt.Errorf("code %d", code)
					}
				}
				codes <- err
			}()
		}
		slowest := time.Duration(0)
		for left := 4; left > 0; {
			asked := time.Now()
			if _, err := bystander.Call(kmsg.NewPtrApiVersionsRequest()); err != nil {
				t.Fatalf("%s: the bystander: %v", bomb.Name, err)
			}
			slowest = max(slowest, time.Since(asked))
			most = max(most, resident(t, b.PID())-before)
			select {
			case err := <-codes:
				if err != nil {
					t.Errorf("%s: %v", bomb.Name, err)
				}
				left--
			default:
			}
		}
		t.Logf("%s: %d KiB four times took %v, the slowest answer to another %v", bomb.Name, len(bomb.Records)>>10, time.Since(began), slowest)
	}
	t.Logf("resident memory grew by %d MiB at most", most>>20)
	if most > (32+4+28)<<20 && !raceEnabled { // the budget, twice what came, and what a broker just begun has not touched yet
		t.Errorf("the bombs grew the broker by %d MiB", most>>20)
	}
	calm(t, b, before)
}

// Message sets of the old formats that lie get Kafka's codes where they are
// served; where they are not, all of them get UNSUPPORTED_VERSION.
func TestHostileSets(t *testing.T) {
	b := Start(t, Options{})
	CreateTopic(t, b.Addr, "hostile", 1, nil)
	raw := Dial(t, b.Addr)
	produce := func(version int16, records []byte) int16 {
		req := ProduceRequest("hostile", 0, records)
		req.Version = version
		resp, err := raw.Call(req)
		if err != nil {
			t.Fatalf("v%d: %v", version, err)
		}
		return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
	}
	const unsupportedVersion = 35
	for version := int16(0); version <= 2; version++ {
		serves := produce(version, message(1, nil)) != unsupportedVersion
		for _, h := range HostileSets() {
			want := h.WantIn(version)
			if !serves {
				want = unsupportedVersion
			}
			if code := produce(version, h.Records); code != want {
				t.Errorf("%s v%d: code %d, want %d", h.Name, version, code, want)
			}
		}
	}
	Produce(t, b.Addr, "hostile", 0, []string{"last"})
	if records := ReadAll(t, b.Addr, "hostile")[0]; string(records[len(records)-1].Value) != "last" {
		t.Errorf("the log ends with %+v", records[len(records)-1])
	}
}
