// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// IO is what a block device has done since it was attached.
type IO struct {
	Writes, Flushes, Bytes int64 // Bytes are those written
}

// Less is what was done since before.
func (a IO) Less(before IO) IO {
	return IO{a.Writes - before.Writes, a.Flushes - before.Flushes, a.Bytes - before.Bytes}
}

// Device reads the counters of the block device under a folder.
func Device(dir string) (IO, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return IO{}, fmt.Errorf("host: %s: %w", dir, err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return IO{}, fmt.Errorf("host: %s lies on no block device that counts: %w", dir, err)
	}
	return parseIO(string(b))
}

// parseIO reads a stat file of /sys/block: writes are its fifth field, sectors
// written its seventh, flushes its sixteenth.
func parseIO(text string) (IO, error) {
	f := strings.Fields(text)
	if len(f) < 16 {
		return IO{}, fmt.Errorf("host: a device that counts %d things, want 16", len(f))
	}
	var n [16]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return IO{}, fmt.Errorf("host: a device's counter: %w", err)
		}
	}
	return IO{Writes: n[4], Flushes: n[15], Bytes: n[6] * 512}, nil
}

// DropCache writes the files out and lets the page cache forget them; what is
// left there of them is returned, in bytes (-1: the kernel does not tell).
func DropCache(pattern string) (left int64, err error) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("host: no files %s: %w", pattern, err)
	}
	for _, name := range files {
		n, err := dropOne(name)
		if err != nil {
			return 0, fmt.Errorf("host: %s: %w", name, err)
		}
		if left += n; n < 0 {
			return -1, nil
		}
	}
	return left, nil
}

func dropOne(name string) (left int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return 0, err
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return 0, err
	}
	var stat unix.Cachestat_t
	switch err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &stat, 0); err {
	case nil:
		return int64(stat.Cache) * int64(os.Getpagesize()), nil
	case unix.ENOSYS, unix.EOPNOTSUPP:
		return -1, nil
	default:
		return 0, err
	}
}

// Free is how many bytes a folder's file system has left.
func Free(dir string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return 0
	}
	return int64(fs.Bavail) * fs.Bsize
}

// KernelCPU is the processor time, in ticks of 10 ms, of the kernel's own
// threads: what writes pages back is nobody's, and no disturbance either.
func KernelCPU() int64 {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // its pattern is a good one
	sum := int64(0)
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if len(f) < 13 || f[1] != "2" { // children of kthreadd
			continue
		}
		user, _ := strconv.ParseInt(f[11], 10, 64) // the kernel's own numbers
		sys, _ := strconv.ParseInt(f[12], 10, 64)
		sum += user + sys
	}
	return sum
}
