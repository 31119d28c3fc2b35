// SPDX-License-Identifier: Apache-2.0

//go:build linux

package limit

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a measurement.
type Options struct {
	Dir            string        // whose disk is measured
	For            time.Duration // a figure takes about so long
	Server, Client int           // cores of the two ends; negative: any
	Bytes          int64         // that lines of the disk write and read at most
}

// Line is one limit line.
type Line struct {
	ID, Story string
	Run       func(o Options) (map[string]float64, error)
}

// Lines lists what there is, in the order in which it is measured.
func Lines() []Line {
	return []Line{
		{"L1", "TCP over loopback, one stream, 128 KiB a write: GiB/s", func(o Options) (map[string]float64, error) { return stream(o, false) }},
		{"L2", "the same by sendfile: GiB/s", func(o Options) (map[string]float64, error) { return stream(o, true) }},
		{"L5", "64 B there and back between two cores: µs", pingPong},
		{"L6", "disk, 1 MiB writes one behind the other through the page cache, synced at the end: MiB/s", buffered},
		{"L7", "disk, 1 MiB writes past the page cache, four at a time: MiB/s", direct},
		{"L8", "4 KiB and fdatasync, appended and over zeroes: syncs/s", syncs},
		{"L9", "disk, 1 MiB reads one behind the other, not cached, through the page cache and past it: MiB/s", reads},
		{"L10", "memory copied, 1 MiB and 256 MiB at a time: GB/s", copies},
		{"L11", "CRC-32C of 256 KiB and of 1 KiB: GB/s", checksums},
		{"L12", "getpid, and a no-op of io_uring, alone and 64 at a time: millions/s", calls},
	}
}

// pinned runs f on a thread that is bound to a core meanwhile. The thread must
// outlive f: processes that it once started would be killed with it.
func pinned(cpu int, f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if cpu < 0 {
			done <- f()
			return
		}
		var before, set unix.CPUSet
		set.Set(cpu)
		if err := errors.Join(unix.SchedGetaffinity(0, &before), unix.SchedSetaffinity(0, &set)); err != nil {
			done <- fmt.Errorf("limit: core %d: %w", cpu, err)
			return
		}
		err := f()
		done <- errors.Join(err, unix.SchedSetaffinity(0, &before))
	}()
	return done
}

// repeat calls f until the time is over and returns how often and how long.
func repeat(d time.Duration, f func() error) (n int, took time.Duration, err error) {
	for began := time.Now(); ; {
		if err := f(); err != nil {
			return n, time.Since(began), err
		}
		n++
		if took = time.Since(began); took >= d {
			return n, took, nil
		}
	}
}
