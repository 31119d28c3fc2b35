// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"

	"github.com/samsa-broker/samsa/engine/vfs"
)

const (
	zeroChunk = 1 << 20  // bytes written at once by the zeroer
	zeroAhead = 32 << 20 // bytes the zeroer keeps ahead of the groups
)

// zeroer is how far the files were written at least once, and the chunk that is
// being zeroed. Under Journal.mu, except for buf.
type zeroer struct {
	done     int64  // bytes of the stream's first lap that were written
	from, to int64  // the chunk being zeroed; to is 0 when there is none
	noSpace  bool   // the groups will tell whether it matters
	buf      []byte // zeros; belongs to the background goroutine
}

// next is the chunk to be zeroed while the groups are at position; start is not
// below end when there is none for now.
func (z *zeroer) next(s *files, position int64) (start, end int64) {
	start, end = z.done, min(roundUp(z.done+1, zeroChunk), Files*s.size)
	if in := start / s.size; end > (in+1)*s.size {
		end = (in + 1) * s.size // no chunk straddles two files
	}
	if z.noSpace || start-position >= zeroAhead {
		end = start
	}
	return start, end
}

// meets tells whether a group would be written into the chunk.
func (z *zeroer) meets(pos, padded int64) bool { return pos < z.to && pos+padded > z.from }

// zeroNext writes zeros over the next chunk that no group has reached yet, so
// that the groups find blocks that were written before: a write into merely
// allocated ones has to change the file system's own tables too. It keeps a
// little ahead of the groups, once around; a directory that is hardly used is
// hardly zeroed. True: there is more to do now.
//
// A chunk is claimed under the lock, and a group that would meet it waits.
func (j *Journal) zeroNext() bool {
	j.mu.Lock()
	start, end, due := j.toZero()
	if !due {
		j.mu.Unlock()
		return false
	}
	j.zero.from, j.zero.to = start, end
	j.mu.Unlock()

	if j.zero.buf == nil {
		b, err := mapBuffer(zeroChunk)
		if err != nil {
			j.endZero(start)
			return false
		}
		j.zero.buf = b
	}
	f, off := j.files.at(start)
	_, err := f.WriteAt(j.zero.buf[:end-start], off)
	switch {
	case err == nil:
		j.endZero(end)
		return true
	case vfs.IsNoSpace(err):
		j.mu.Lock()
		j.zero.noSpace = true
		j.mu.Unlock()
		j.endZero(start)
	default:
		j.breakDown(fmt.Errorf("zeroing at %d: %w", start, err))
	}
	return false
}

// toZero is the chunk that zeroNext would take now, if it is due. Under j.mu.
func (j *Journal) toZero() (start, end int64, due bool) {
	start, end = j.zero.next(&j.files, j.position)
	begun := j.position > 0 || j.sequence > 1
	return start, end, start < end && begun && j.err == nil && !j.closed
}

// endZero gives the claimed chunk up and lets a group go on that met it.
func (j *Journal) endZero(done int64) {
	j.mu.Lock()
	j.zero.done = max(j.zero.done, done)
	j.zero.from, j.zero.to = 0, 0
	g := j.stalled
	j.stalled = nil
	j.mu.Unlock()
	if g != nil {
		j.submit(g)
	}
}
