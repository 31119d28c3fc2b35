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

// zeroNext writes zeros over the next chunk that no group has reached yet, so
// that the groups find blocks that were written before: a write into merely
// allocated ones has to change the file system's own tables too. It keeps a
// little ahead of the groups, once around; a directory that is hardly used is
// hardly zeroed. True: there is more to do now.
//
// A chunk is claimed under the lock, and a group that would meet it waits.
func zeroNext(j *Journal, zeros *[]byte) bool {
	j.mu.Lock()
	start, end, due := toZero(j)
	if !due {
		j.mu.Unlock()
		return false
	}
	j.zeroFrom, j.zeroing = start, end
	j.mu.Unlock()

	if *zeros == nil {
		b, err := mapBuffer(zeroChunk)
		if err != nil {
			endZero(j, start)
			return false
		}
		*zeros = b
	}
	f, off := j.files.at(start)
	_, err := f.WriteAt((*zeros)[:end-start], off)
	switch {
	case err == nil:
		endZero(j, end)
		return true
	case vfs.IsNoSpace(err):
		j.mu.Lock()
		j.noZero = true // the groups will tell whether it matters
		j.mu.Unlock()
		endZero(j, start)
	default:
		j.breakDown(fmt.Errorf("zeroing at %d: %w", start, err))
	}
	return false
}

// toZero is the chunk that zeroNext would take now, if it is due. Under j.mu.
func toZero(j *Journal) (start, end int64, due bool) {
	start, end = j.zeroed, min(roundUp(j.zeroed+1, zeroChunk), Files*j.o.FileBytes)
	if in := start / j.o.FileBytes; end > (in+1)*j.o.FileBytes {
		end = (in + 1) * j.o.FileBytes // no chunk straddles two files
	}
	begun := j.position > 0 || j.sequence > 1
	due = j.err == nil && !j.closed && !j.noZero && start < end && start-j.position < zeroAhead && begun
	return start, end, due
}

// endZero gives the claimed chunk up and lets a group go on that met it.
func endZero(j *Journal, zeroed int64) {
	j.mu.Lock()
	j.zeroed = max(j.zeroed, zeroed)
	j.zeroFrom, j.zeroing = 0, 0
	g := j.stalled
	j.stalled = nil
	j.mu.Unlock()
	if g != nil {
		j.submit(g)
	}
}
