// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// Events are called as things happen, on the goroutine they happen on. Any may
// be nil, and so may the whole.
type Events struct {
	Recovered func(dir string, r Recovery)                     // Open had to look into the log
	Rolled    func(dir string, base Offset)                    // a new segment was begun
	Expired   func(dir string, base Offset, why string)        // retention took a segment: "time", "size", "start"
	Truncated func(dir string, end Offset, removedBytes int64) // TruncateTo cut records off
	Rebuilt   func(dir, file, why string)                      // an index or snapshot was not usable and was made anew
	Failed    func(dir string, err error)                      // the log fenced itself
}

// Recovery is what Open found and did.
type Recovery struct {
	Clean          bool   // the clean path was taken: nothing was read
	BytesRead      int64  // of segment files
	BytesAbove     int64  // of what was checked: those above the recovery point, none where Cut was done
	BytesTruncated int64  // cut off the last good segment
	Segments       int    // recovered, not merely listed
	Removed        int    // segments behind the damage, dropped
	Reason         string // why the log was cut, empty if it was not
	End            Offset
	Took           time.Duration
}
