// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	format "github.com/samsa-broker/samsa/engine/batch"
)

// OldTopics and OldFetches are what the directories in testdata/logs/old hold,
// and the versions of Fetch their records were read with.
var (
	OldTopics  = []string{"java", "stamped", "compacted"}
	OldFetches = []int16{1, 2, 4, 11}
)

// ReadThrough reads partition 0 of a topic in one version of Fetch as its
// consumers would, on from the last record that came: old answers end before
// the log's bytes do. It gives a line for each record, with the shape of the
// batch it came in, and one for how it ended.
func ReadThrough(r *Raw, topic string, version int16) (list []string) {
	next, opening := int64(0), 0
	for {
		req := FetchRequest(topic, 0, next, 1<<20)
		req.Version, req.MaxWaitMillis = version, 0
		if opening > 0 {
			req.MaxWaitMillis = 100
		}
		resp, err := r.Call(req)
		if err != nil {
			return append(list, err.Error())
		}
		part := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if part.ErrorCode != 0 {
			return append(list, fmt.Sprint("code ", part.ErrorCode))
		}
		records, err := deepRecords(part.RecordBatches)
		if err != nil {
			return append(list, err.Error())
		}
		if part.HighWatermark < 0 && opening < 100 { // the log is still being opened
			opening++
			continue
		}
		before := next
		for _, rec := range records {
			if rec.offset >= next {
				list, next = append(list, rec.text), rec.offset+1
			}
		}
		if next == before {
			return append(list, fmt.Sprint("high ", part.HighWatermark))
		}
	}
}

// deepRecord is a record in words.
type deepRecord struct {
	offset int64
	text   string
}

// deepRecords walks an answer of any format, checksums verified. Append times
// are each broker's own.
func deepRecords(b []byte) (records []deepRecord, err error) {
	for {
		size, magic, err := format.Peek(b)
		if err != nil || size > len(b) {
			return records, nil // as consumers do
		}
		one := b[:size:size]
		b = b[size:]
		shape, stamped := "", false
		add := func(r *format.Record) error {
			if stamped {
				r.Timestamp = min(r.Timestamp, 1)
			}
			text := fmt.Sprintf("%d@%d key %q %v value %q %v, %d headers, %s", r.Offset, r.Timestamp, r.Key, r.KeyNull, r.Value, r.ValueNull, r.HeaderCount, shape)
			records = append(records, deepRecord{r.Offset, text})
			return nil
		}
		if magic == 2 {
			v := format.Batch(one)
			stamped = v.LogAppendTime()
			shape = fmt.Sprintf("magic 2 attributes %x base %d count %d delta %d", v.Attributes(), v.BaseOffset(), v.Count(), v.LastOffsetDelta())
			err = errors.Join(v.Verify(), format.Walk(v, nil, add))
		} else {
			m := format.Legacy(one)
			stamped = m.LogAppendTime()
			shape = fmt.Sprintf("magic %d attributes %x at %d", magic, m.Attributes(), m.Offset())
			if m.Codec() == format.CodecLZ4 {
				at := 26 + 8*int(magic)
				shape += fmt.Sprintf(" frame % x", one[at:at+7])
			}
			if !stamped {
				shape += fmt.Sprint(" time ", m.Timestamp())
			}
			err = errors.Join(m.Verify(), format.WalkLegacy(m, nil, add))
		}
		if err != nil {
			return records, err
		}
	}
}
