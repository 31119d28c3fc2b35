// SPDX-License-Identifier: Apache-2.0

package journal

import "github.com/samsa-broker/samsa/engine/vfs"

// Writer carries a journal's groups to the disk, one at a time.
type Writer interface {
	// WriteDurable writes p at off and calls done when it is on the device
	// (RWF_DSYNC) or has failed. Any goroutine may call; it must not wait for
	// the write, nor call done on the caller's stack. p is the writer's until
	// done. f may have been opened past the page cache: p, its length and off
	// are aligned for it.
	WriteDurable(f vfs.File, p []byte, off int64, done func(error))
}

// Scheduler may be implemented by a Writer that knows when its home is about
// to wait. Schedule runs fn once, soon: what is appended until then shares the
// first write of an idle journal. Without it an idle journal writes at once.
// Schedule is not called again before fn runs.
type Scheduler interface {
	Schedule(fn func())
}
