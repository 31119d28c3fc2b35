// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine describes where numbers come from.
type Machine struct {
	Kernel, CPU, FileSystem, Congestion string
	Cores                               int
	MemoryMiB                           int64
	Go                                  string
}

// Describe looks at the machine; dir is where the logs will lie.
func Describe(dir string) Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Congestion: setting("net/ipv4/tcp_congestion_control")}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	m.CPU = field("/proc/cpuinfo", "model name")
	if kib, err := strconv.ParseInt(strings.Fields(field("/proc/meminfo", "MemTotal") + " 0")[0], 10, 64); err == nil {
		m.MemoryMiB = kib >> 10
	}
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) == nil {
		m.FileSystem = fileSystems[int64(fs.Type)]
		if m.FileSystem == "" {
			m.FileSystem = fmt.Sprintf("file system %#x", fs.Type)
		}
	}
	return m
}

var fileSystems = map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay"}

// field is the value of a "key : value" line of a file.
func field(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		k, v, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Load is the machine's load average over the last minute.
func Load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	v, _ := strconv.ParseFloat(strings.Fields(string(b) + " 0")[0], 64) // the kernel's own number
	return v
}

// Times is how the cores have spent their time since the start of the machine.
type Times struct{ Busy, Steal time.Duration }

// Spent reads Times. They count in ticks of 10 ms, of all cores together.
func Spent() Times {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Times{}
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var t Times
	for i, text := range strings.Fields(line) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			continue // the word "cpu"
		}
		d := time.Duration(n) * 10 * time.Millisecond
		switch i {
		case 1, 2, 3, 6, 7: // user, nice, system, irq, softirq
			t.Busy += d
		case 8:
			t.Steal += d
		}
	}
	return t
}

// Dirty is how many bytes wait to be written to disks.
func Dirty() int64 {
	kib, err := strconv.ParseInt(strings.Fields(field("/proc/meminfo", "Dirty") + " 0")[0], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// Available is how many bytes of memory programs can still have.
func Available() int64 {
	kib, err := strconv.ParseInt(strings.Fields(field("/proc/meminfo", "MemAvailable") + " 0")[0], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}
