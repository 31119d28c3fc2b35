// SPDX-License-Identifier: Apache-2.0

// Package hostile floods the built samsa binary with connections, as strangers
// on the network do, and watches a well-behaved client beside them: its p99 may
// double, the broker's memory may grow by twice what was sent and the stated
// budget, and nothing may be left behind.
//
// The default sizes end within a minute; SAMSA_HOSTILE=full runs the full ones
// (make soak PART=hostile).
package hostile

import (
	"os"
	"time"
)

// full tells whether the full sizes are asked for.
func full() bool { return os.Getenv("SAMSA_HOSTILE") == "full" }

// size is few by default, and all in the full run.
func size[T int | float64 | time.Duration](few, all T) T {
	if full() {
		return all
	}
	return few
}
