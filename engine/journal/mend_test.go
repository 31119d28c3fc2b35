// SPDX-License-Identifier: Apache-2.0

package journal

import "encoding/binary"

// mendCheckpoint makes magic, version, size and hash right.
func mendCheckpoint(b []byte) {
	binary.BigEndian.PutUint32(b, checkpointMagic)
	binary.BigEndian.PutUint32(b[4:], checkpointVersion<<16)
	binary.BigEndian.PutUint64(b[16:], uint64(len(b)))
	binary.BigEndian.PutUint64(b[checkpointHashOffset:], checkpointHash(b))
}
