// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"iter"
	"maps"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ownCPU is the processor time this process has used.
func ownCPU() time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// pinSelf binds this process to the cores from first on. Threads made later
// inherit it from those that make them.
func pinSelf(first, cores int) error {
	var set unix.CPUSet
	for i := first; i < cores; i++ {
		set.Set(i)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			continue // all names there are numbers
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

func syncAll() { unix.Sync() }

func mapsKeys(m map[string]float64) iter.Seq[string] { return maps.Keys(m) }
