// SPDX-License-Identifier: Apache-2.0

//go:build linux

package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// waitUntil returns at t, or at once when t has passed. It sleeps until shortly
// before and then looks at the clock: a sleep alone is up to a millisecond late.
func waitUntil(t time.Time) {
	const early = 1200 * time.Microsecond
	if d := time.Until(t); d > early {
		time.Sleep(d - early)
	}
	for time.Until(t) > 0 {
		_ = unix.Nanosleep(&unix.Timespec{Nsec: 20_000}, nil) // gives the core away, yet wakes within some 50 µs
	}
}

// processCPU is the processor time that this process has used.
func processCPU() time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
