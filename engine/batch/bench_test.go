// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkCheck validates batches as producers make them: records of 1 KB, of
// which a codec leaves about a half.
func BenchmarkCheck(b *testing.B) {
	for _, kib := range []int{1, 8, 64, 512, 2048} {
		for codec := CodecNone; codec <= CodecZstd; codec++ {
			h := PlainHeader()
			h.Codec = codec
			var made Builder
			made.Reset(h)
			random := rand.New(rand.NewPCG(1, 2))
			value := make([]byte, 1000)
			for n := range kib {
				for i := range value {
					value[i] = "etaoinshrdlu 0123"[random.IntN(17)*random.IntN(17)/17]
				}
				copy(value[500:], value[:400]) // a stretch that LZ4 and Snappy find
				made.Append(now+int64(n), fmt.Appendf(nil, "key-%d", n), value)
			}
			batch, err := made.Finish()
			if err != nil {
				b.Fatal(err)
			}
			whole := append(Batch(nil), batch...)
			run := func(name string, rule Rules) {
				b.Run(fmt.Sprintf("%dKiB/%s%s", kib, codec, name), func(b *testing.B) {
					s := new(Scratch)
					b.SetBytes(int64(kib) << 10)
					b.ReportAllocs()
					for b.Loop() {
						if _, _, err := Check(whole, rule, s); err != nil {
							b.Fatal(err)
						}
						s.Shrink()
					}
				})
			}
			run("", rules())
			if codec == CodecLZ4 {
				rule := rules()
				rule.TargetCodec = CodecZstd
				run(" to zstd", rule)
			}
		}
	}
}
