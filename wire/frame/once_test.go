// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Whatever a request names, Once leaves each partition once, with its last
// mention, and does not touch a request that names nothing twice.
func TestOnce(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var q ProduceRequest
		var f FetchRequest
		want := map[string]int64{}
		named := 0
		for range rnd.IntN(30) {
			name := fmt.Sprint("topic", rnd.IntN(40))
			p, ft := ProduceTopic{Name: []byte(name), First: len(q.Parts)}, FetchTopic{Name: []byte(name), First: len(f.Parts)}
			for range rnd.IntN(20) {
				index, mark := rnd.Int32N(60)-2, rnd.Int64()
				if rnd.IntN(9) == 0 {
					index += 5000
				}
				q.Parts = append(q.Parts, ProducePart{Index: index, Records: fmt.Append(nil, mark)})
				f.Parts = append(f.Parts, FetchPart{Index: index, Offset: mark})
				want[fmt.Sprint(name, "-", index)] = mark
				named++
			}
			p.End, ft.End = len(q.Parts), len(f.Parts)
			q.Topics, f.Topics = append(q.Topics, p), append(f.Topics, ft)
		}
		q.Once()
		f.Once()
		got := 0
		for _, topic := range q.Topics {
			if topic.First == topic.End {
				t.Fatalf("seed %d: a topic without partitions is left", seed)
			}
			for _, p := range q.Parts[topic.First:topic.End] {
				got++
				if string(p.Records) != fmt.Sprint(want[fmt.Sprint(string(topic.Name), "-", p.Index)]) {
					t.Fatalf("seed %d: Produce %s-%d is not the last mention", seed, topic.Name, p.Index)
				}
			}
		}
		for _, topic := range f.Topics {
			for _, p := range f.Parts[topic.First:topic.End] {
				if p.Offset != want[fmt.Sprint(string(topic.Name), "-", p.Index)] {
					t.Fatalf("seed %d: Fetch %s-%d is not the last mention", seed, topic.Name, p.Index)
				}
			}
		}
		if got != len(want) || len(f.Parts) != len(want) {
			t.Fatalf("seed %d: %d and %d left of %d named, want %d", seed, got, len(f.Parts), named, len(want))
		}
	}
}
