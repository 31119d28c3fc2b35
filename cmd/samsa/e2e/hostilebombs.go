// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/binary"
)

// GoodBombs are batches of one good record, of zeros, that take about size bytes
// at most. Some become more than a broker opens; the others are as good as any,
// and the log takes them.
func GoodBombs(size int) []HostileBatch {
	const mib, most = 1 << 20, 300 << 20
	record := func(n int) []byte {
		body := binary.AppendVarint([]byte{0, 0, 0, 1}, int64(n)) // no attributes, no deltas, no key
		body = append(append(body, make([]byte, n)...), 0)
		return append(binary.AppendVarint(nil, int64(len(body))), body...)
	}
	bomb := func(name string, codec uint16, records []byte) HostileBatch {
		s := good(nil)
		s.attributes, s.records = codec, records
		return HostileBatch{Name: name, Records: s.bytes()}
	}
	var blocks []byte
	for rest := record(20 * size); len(rest) > 0; {
		block := snappyRaw(rest[:min(len(rest), mib)])
		rest = rest[min(len(rest), mib):]
		blocks = append(append(blocks, binary.BigEndian.AppendUint32(nil, uint32(len(block)))...), block...)
	}
	return []HostileBatch{
		bomb("gzip, a good record", 1, Gzip(record(min(most, 1000*size)))),
		bomb("gzip, a good record of 48 MiB", 1, Gzip(record(48*mib))),
		bomb("zstd, a good record", 4, Zstd(record(most))),
		bomb("lz4, a good record", 3, LZ4(record(240*size))),
		bomb("xerial, a good record", 2, xerial(blocks)),
		bomb("snappy, a good record in one block", 2, snappyRaw(record(20*size))),
	}
}

// Bombs are compressed records that become very much more: each a good batch by
// its header and checksum, of about size bytes.
func Bombs(size int) []HostileBatch {
	const mib = 1 << 20
	zeros := make([]byte, 16*mib)
	member := Gzip(zeros) // 16 KiB
	run := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38}
	for i := range size / 4 { // blocks of 128 KiB of one byte, in four
		last := uint32(0)
		if i == size/4-1 {
			last = 1
		}
		head := binary.LittleEndian.AppendUint32(nil, last|1<<1|(128<<10)<<3)
		run = append(append(run, head[:3]...), 0)
	}
	frame := Zstd(zeros)
	frames := bytes.Repeat(frame, size/len(frame))
	block := snappyRaw(make([]byte, mib))
	chunk := append(binary.BigEndian.AppendUint32(nil, uint32(len(block))), block...)
	bomb := func(name string, codec uint16, records []byte) HostileBatch {
		return HostileBatch{Name: name, Records: packed(codec, func([]byte) []byte { return records })}
	}
	return []HostileBatch{
		bomb("gzip, one member", 1, Gzip(make([]byte, size*1000))),
		bomb("gzip, many members", 1, bytes.Repeat(member, size/len(member))),
		bomb("gzip in gzip", 1, Gzip(bytes.Repeat(member, 40*size/len(member)))),
		bomb("zstd, one frame of runs", 4, run),
		bomb("zstd, many frames", 4, frames),
		bomb("lz4", 3, LZ4(make([]byte, 240*size))),
		bomb("xerial", 2, xerial(bytes.Repeat(chunk, size/len(chunk)))),
	}
}
