// SPDX-License-Identifier: Apache-2.0

// Package host is the machine of a benchmark: what it is, how busy it is, what
// a group of processes costs, and the settings that are changed for a run and
// put back after it, also when the run is interrupted.
//
// A Group is measured and pinned by control groups of version 1 where they can
// be written (cpuacct counts in nanoseconds), else by the scheduler's own
// counts of every thread (/proc/PID/task/*/schedstat), which forget threads that
// have ended.
package host
