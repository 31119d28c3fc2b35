// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// oldWrapper compresses messages into one.
func oldWrapper(magic int8, offset, ms int64, codec int8, inside ...[]byte) []byte {
	return e2e.OldMessage(magic, offset, ms, byte(codec), nil, e2e.Pack(codec, bytes.Join(inside, nil)))
}

// couple is Samsa and a real Kafka beside it.
type couple struct {
	t     *testing.T
	addrs [2]string // Samsa's first
	raw   [2]*e2e.Raw
}

// oldTopics are what the questions are asked about, with their configs.
var oldTopics = map[string]map[string]string{
	"plain": nil, "other": nil, "small": {"max.message.bytes": "200"}, "compact": {"cleanup.policy": "compact"},
	"stamped": {"message.timestamp.type": "LogAppendTime"}, "bounded": {"message.timestamp.before.max.ms": "3600000", "message.timestamp.after.max.ms": "3600000"},
	"gzip": {"compression.type": "gzip"}, "lz4": {"compression.type": "lz4"}, "zstd": {"compression.type": "zstd"}, "uncompressed": {"compression.type": "uncompressed"},
	"off": {"message.downconversion.enable": "false"}, "codecs": nil, "deep": nil, "mixed": nil,
}

// startPair starts both, with the same topics.
func startPair(t *testing.T) (*couple, *e2e.Broker) {
	t.Helper()
	k := StartKafka(t, StartZooKeeper(t), t.TempDir(), nil)
	b := e2e.Start(t, e2e.Options{})
	p := &couple{t: t, addrs: [2]string{b.Addr, k.Addr}}
	for i, addr := range p.addrs {
		for _, topic := range slices.Sorted(maps.Keys(oldTopics)) {
			e2e.CreateTopic(t, addr, topic, 1, oldTopics[topic])
		}
		p.raw[i] = e2e.Dial(t, addr)
	}
	return p, b
}

// ask asks one of them; a closed connection is an answer, too.
func (p *couple) ask(i int, req kmsg.Request) kmsg.Response {
	p.t.Helper()
	resp, err := p.raw[i].Call(req)
	if err != nil {
		p.t.Logf("%T v%d: %v", req, req.GetVersion(), err)
		p.raw[i] = e2e.Dial(p.t, p.addrs[i])
		return nil
	}
	return resp
}

// produce sends records to both and compares what they say.
func (p *couple) produce(name, topic string, version int16, records []byte) {
	p.t.Helper()
	var said [2]string
	for i := range p.raw {
		req := e2e.ProduceRequest(topic, 0, bytes.Clone(records))
		req.Version = version
		resp := p.ask(i, req)
		if resp == nil {
			said[i] = "closed"
			continue
		}
		for _, t := range resp.(*kmsg.ProduceResponse).Topics {
			for _, r := range t.Partitions {
				said[i] += fmt.Sprintf("%s-%d code %d base %d stamped %v throttled %d", t.Topic, r.Partition, r.ErrorCode, r.BaseOffset, version >= 2 && r.LogAppendTime > 0, resp.(*kmsg.ProduceResponse).ThrottleMillis)
			}
		}
	}
	if said[0] != said[1] {
		p.t.Errorf("Produce v%d %s to %s: %s, Kafka %s", version, name, topic, said[0], said[1])
	}
}

// fetch reads one place of both.
func (p *couple) fetch(topic string, version int16, offset int64, maxBytes int32) (got [2]kmsg.FetchResponseTopicPartition, ok bool) {
	p.t.Helper()
	for i := range p.raw {
		req := e2e.FetchRequest(topic, 0, offset, maxBytes)
		req.Version, req.MaxWaitMillis = version, 0
		resp := p.ask(i, req)
		if resp == nil {
			p.t.Errorf("Fetch v%d of %s at %d: broker %d closed", version, topic, offset, i)
			return got, false
		}
		got[i] = resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	}
	return got, true
}

// oldSets are what a client could send in Produce v0 to v2, good and bad. Null
// is not among them: Kafka fails on it and never answers.
func oldSets() map[string][]byte {
	now := time.Now().UnixMilli()
	one := e2e.OldMessage(1, 0, now, 0, []byte("k"), []byte("one"))
	two := e2e.OldMessage(1, 1, now+1, 0, nil, []byte("two"))
	zero := e2e.OldMessage(0, 0, 0, 0, []byte("k"), []byte("zero"))
	null := e2e.OldMessage(0, 1, 0, 0, nil, nil)
	past := e2e.OldMessage(1, 0, now-7200_000, 0, []byte("k"), []byte("past"))
	flip := func(m []byte, at int) []byte { m = bytes.Clone(m); m[at] ^= 1; return m }
	reseal := func(m []byte) []byte { binary.BigEndian.PutUint32(m[12:], crc32.ChecksumIEEE(m[16:])); return m }
	long := bytes.Clone(one)
	binary.BigEndian.PutUint32(long[26:], 1000)
	reseal(long)
	longValue := bytes.Clone(one)
	binary.BigEndian.PutUint32(longValue[31:], 1000)
	reseal(longValue)
	stub := reseal(append(make([]byte, 8), 0, 0, 0, 14, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0))
	v2 := e2e.BatchAt(now, "v2 a", "v2 b")
	control := flip(v2, 22)
	control[22] = 0x20
	binary.BigEndian.PutUint32(control[17:], crc32.Checksum(control[21:], crc32.MakeTable(crc32.Castagnoli)))
	transactional := bytes.Clone(v2)
	transactional[22] = 0x10
	binary.BigEndian.PutUint32(transactional[17:], crc32.Checksum(transactional[21:], crc32.MakeTable(crc32.Castagnoli)))
	trailing := append(bytes.Clone(one), 9, 9)
	trailing[11] += 2
	reseal(trailing)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	sets := map[string][]byte{
		"empty": {}, "a piece": one[:20], "a piece without magic": one[:14], "half": one[:len(one)-1],
		"one of magic 1": one, "two of magic 1": join(one, two), "one of magic 0": zero, "two of magic 0": join(zero, null),
		"and a piece": join(one, two[:25]), "trailing bytes": trailing, "a batch": v2, "two batches": join(v2, v2), "control": control, "transactional": transactional,
		"magic 0 then 1": join(zero, one), "magic 1 then 0": join(one, zero), "message then batch": join(one, v2), "batch then message": join(v2, one),
		"bad CRC": flip(one, len(one)-1), "bad CRC of magic 0": flip(zero, len(zero)-1), "bad CRC of the second": join(one, flip(two, 14)), "bad CRC of a batch": flip(v2, len(v2)-1),
		"magic 3": flip(flip(one, 16), 16)[:0], "length 13": join(one[:11], []byte{13}, one[12:]), "length -1": join(one[:8], []byte{255, 255, 255, 255}, one[12:]),
		"key too long": long, "value too long": longValue, "shorter than magic 1": stub, "past": past, "future": e2e.OldMessage(1, 0, now+7200_000, 0, []byte("k"), nil),
		"past then good": join(past, one), "past then unreadable": join(past, long), "no timestamp": e2e.OldMessage(1, 0, -1, 0, []byte("k"), []byte("v")),
		"minus five": e2e.OldMessage(1, 0, -5, 0, []byte("k"), []byte("v")), "stamped": e2e.OldMessage(1, 0, now, 8, []byte("k"), []byte("v")), "stamped without time": e2e.OldMessage(1, 0, -1, 8, []byte("k"), []byte("v")),
		"codec 5": e2e.OldMessage(1, 0, now, 5, nil, []byte("x")), "codec 7 of magic 0": e2e.OldMessage(0, 0, 0, 7, nil, []byte("x")),
		"250 bytes": e2e.OldMessage(1, 0, now, 0, nil, make([]byte, 216)), "196 bytes of magic 0": e2e.OldMessage(0, 0, 0, 0, []byte("k"), make([]byte, 169)),
		"many tiny ones": bytes.Repeat(e2e.OldMessage(0, 0, 0, 0, nil, nil), 40),
	}
	sets["magic 3"] = bytes.Clone(one)
	sets["magic 3"][16] = 3
	for i, named := range []string{"gzip", "snappy", "lz4", "zstd"} {
		codec := int8(i + 1)
		for magic := int8(0); magic <= 1; magic++ {
			a, b := e2e.OldMessage(magic, 0, now, 0, []byte("k"), []byte("inside a")), e2e.OldMessage(magic, 1, now+5, 0, []byte("k2"), []byte("inside b"))
			name := fmt.Sprintf(" %s of magic %d", named, magic)
			sets["wrapper"+name] = oldWrapper(magic, 1, now+5, codec, a, b)
			sets["wrapper at 0"+name] = oldWrapper(magic, 0, now+5, codec, a, b)
			sets["wrapper away"+name] = oldWrapper(magic, 77, now+5, codec, a, b)
			sets["nothing inside"+name] = oldWrapper(magic, 0, now, codec)
			sets["null wrapper"+name] = e2e.OldMessage(magic, 0, now, byte(codec), nil, nil)
			sets["garbage inside"+name] = e2e.OldMessage(magic, 0, now, byte(codec), nil, []byte("what is this, and why does it not end sooner?"))
			sets["empty value"+name] = e2e.OldMessage(magic, 0, now, byte(codec), nil, []byte{})
			sets["nested"+name] = oldWrapper(magic, 0, now, codec, oldWrapper(magic, 0, now, codec, a))
			sets["other magic inside"+name] = oldWrapper(magic, 1, now, codec, e2e.OldMessage(1-magic, 0, now, 0, []byte("k"), nil))
			sets["bad CRC inside"+name] = oldWrapper(magic, 1, now, codec, a, flip(b, len(b)-1))
			sets["cut inside"+name] = oldWrapper(magic, 1, now, codec, a, b[:20])
			sets["offset below"+name] = oldWrapper(magic, 1, now, codec, e2e.OldMessage(magic, 5, now, 0, []byte("k"), nil))
			sets["past inside"+name] = oldWrapper(magic, 1, now, codec, a, e2e.OldMessage(magic, 1, now-7200_000, 0, []byte("k"), nil))
			sets["no key inside"+name] = oldWrapper(magic, 1, now, codec, a, e2e.OldMessage(magic, 1, now, 0, nil, []byte("v")))
			sets["stamped wrapper"+name] = func() []byte { m := oldWrapper(magic, 1, now, codec, a, b); m[17] |= 8; return reseal(m) }()
			sets["two wrappers"+name] = join(oldWrapper(magic, 0, now, codec, a), oldWrapper(magic, 0, now, codec, a))
			sets["beside a wrapper"+name] = join(a, oldWrapper(magic, 0, now, codec, a))
			sets["unreadable inside"+name] = oldWrapper(magic, 1, now, codec, func() []byte { m := bytes.Clone(a); m[len(m)-9] = 99; return reseal(m) }())
		}
	}
	return sets
}

// Every message set, good and bad, in Produce v0 to v2 to every kind of topic:
// Samsa answers as a real Kafka 3.9 does, and both then hold the same records
// for every version of Fetch, from every offset, in the same bytes where no
// codec has a say, control batches, zstd and small limits included.
func TestOldFormatsAnswersAsKafka(t *testing.T) {
	p, b := startPair(t)
	sets := oldSets()
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		for version := int16(0); version <= 2; version++ {
			p.produce(name, "plain", version, sets[name])
		}
		for _, topic := range []string{"small", "compact", "stamped", "bounded", "gzip", "zstd", "uncompressed"} {
			p.produce(name, topic, 2, sets[name])
		}
	}
	for version := int16(0); version <= 2; version++ {
		p.produce("unknown topic", "no-such", version, sets["one of magic 1"])
	}
	p.fill()
	for _, topic := range slices.Sorted(maps.Keys(oldTopics)) {
		p.compareTopic(topic)
	}
	b.Stop()
	var logs []string
	for topic := range oldTopics {
		logs = append(logs, list(t, b.Dir, topic+"-*/*.log")...)
	}
	out := Java(t, "kafka39", "kafka.tools.DumpLogSegments", nil, "--deep-iteration", "--print-data-log", "--files", strings.Join(logs, ","))
	complainless(t, out)
	if n := strings.Count(out, "| offset: "); n < 500 {
		t.Errorf("DumpLogSegments prints %d records of ours", n)
	}
}

// fill writes batches of the newest format: what old consumers meet today.
func (p *couple) fill() {
	now := time.Now().UnixMilli()
	packed := func(codec int8, values ...string) []byte {
		return e2e.Compressed(uint16(codec), func(records []byte) []byte { return e2e.Pack(codec, records) }, -1, -1, -1, values...)
	}
	for i := range 12 {
		values := []string{""}
		for n := range 1 + i%5 {
			values = append(values, strings.Repeat(fmt.Sprint("value ", i, n), 1+i*i))
		}
		made := packed(int8(i%4), values...)
		p.produce("batch", "codecs", 9, made)
		if i%4 == 0 {
			p.produce("batch", "other", 9, made)
		}
		if i == 5 {
			p.produce("batch", "off", 9, made)
		}
	}
	for i, codec := range []int8{0, 0, 4, 0} {
		p.produce("around zstd", "mixed", 9, packed(codec, fmt.Sprint("around zstd ", i)))
	}
	for i := range 40 { // more than Kafka converts at a time
		p.produce("large", "deep", 9, e2e.BatchAt(now, strings.Repeat(fmt.Sprint("deep ", i), 1500), "small"))
	}
}

// compareTopic reads all of a topic in every version, and some places of it
// with every limit.
func (p *couple) compareTopic(topic string) {
	exact := slices.Contains([]string{"other", "uncompressed", "off", "deep", "mixed"}, topic) // the others hold what each broker compressed itself
	for version := int16(0); version <= 11; version++ {
		var lists [2][]string
		for i := range p.raw {
			lists[i] = e2e.ReadThrough(p.raw[i], topic, version)
		}
		a, b := lists[0], lists[1]
		for i := range max(len(a), len(b)) {
			if i >= len(a) || i >= len(b) || a[i] != b[i] {
				p.t.Errorf("Fetch v%d of %s: record %d of %d is %.200q, Kafka's of %d %.200q", version, topic, i, len(a), nth(a, i), len(b), nth(b, i))
				break
			}
		}
	}
	for version := int16(0); version <= 4; version++ {
		for _, offset := range []int64{-1, 0, 1, 2, 5, 11, 20, 99999} {
			for _, maxBytes := range []int32{0, 1, 50, 100, 1000, 1 << 20} {
				got, ok := p.fetch(topic, version, offset, maxBytes)
				where := fmt.Sprintf("Fetch v%d of %s at %d with %d bytes", version, topic, offset, maxBytes)
				if !ok {
					continue
				}
				if a, b := got[0], got[1]; a.ErrorCode != b.ErrorCode || a.HighWatermark != b.HighWatermark {
					p.t.Errorf("%s: code %d high %d, Kafka %d %d", where, a.ErrorCode, a.HighWatermark, b.ErrorCode, b.HighWatermark)
				} else if exact && !sameBytes(a.RecordBatches, b.RecordBatches) {
					p.t.Errorf("%s: %d bytes, Kafka %d, or others:\n% x\n% x", where, len(a.RecordBatches), len(b.RecordBatches), head(a.RecordBatches), head(b.RecordBatches))
				}
			}
		}
	}
}

func nth(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

func head(b []byte) []byte { return b[:min(len(b), 300)] }

// sameBytes compares answers but for leader epochs, which are each broker's own.
func sameBytes(a, b []byte) bool {
	return bytes.Equal(normalised(a), normalised(b))
}

func normalised(b []byte) []byte {
	b = bytes.Clone(b)
	for rest := b; len(rest) > 17; {
		size := 12 + int(binary.BigEndian.Uint32(rest[8:]))
		if size > len(rest) {
			break
		}
		if rest[16] == 2 {
			clear(rest[12:16])
		}
		rest = rest[size:]
	}
	return b
}
