// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/binary"
)

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
