// SPDX-License-Identifier: Apache-2.0

//go:build giouring

package netpoll

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/samsa-broker/samsa/netpoll/ring"
)

// The first kernel with DEFER_TASKRUN, the last thing the loop needs.
const uringMajor, uringMinor = 6, 1

// uringForbidden looks at what can be known without asking for a ring.
func uringForbidden() *Refusal {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return uringRefusal(err)
	}
	if no := uringKernel(unix.ByteSliceToString(u.Release[:])); no != nil {
		return no
	}
	p, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
	if err != nil {
		return nil // kernels before 6.6 have no such switch
	}
	return uringSysctl(strings.TrimSpace(string(p)), os.Geteuid() == 0)
}

// uringKernel refuses kernels that are too old.
func uringKernel(release string) *Refusal {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return nil // let the ring itself decide
	}
	if major > uringMajor || (major == uringMajor && minor >= uringMinor) {
		return nil
	}
	return &Refusal{Backend: "uring", Why: "Linux " + release + " is older than 6.1", Remedy: "a newer kernel"}
}

// uringSysctl reads the switch: 0 allowed, 1 for the privileged, 2 for nobody.
func uringSysctl(value string, root bool) *Refusal {
	switch {
	case value == "2":
		return &Refusal{Backend: "uring", Why: "kernel.io_uring_disabled is 2", Remedy: "sysctl kernel.io_uring_disabled=0"}
	case value == "1" && !root:
		return &Refusal{
			Backend: "uring", Why: "kernel.io_uring_disabled is 1 and the process has no privilege",
			Remedy: "sysctl kernel.io_uring_disabled=0, or name its group in kernel.io_uring_group",
		}
	}
	return nil
}

// uringRefusal says what an error of making the ring means.
func uringRefusal(err error) *Refusal {
	no := &Refusal{Backend: "uring", Why: err.Error()}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		no.Why = "forbidden, likely by a container's seccomp profile"
		no.Remedy = "allow io_uring_setup, io_uring_enter and io_uring_register there"
	case errors.Is(err, unix.ENOSYS):
		no.Why, no.Remedy = "the kernel was built without io_uring", "CONFIG_IO_URING=y"
	case errors.Is(err, unix.ENOMEM):
		no.Why, no.Remedy = "not enough lockable memory", "raise the memlock limit (systemd: LimitMEMLOCK=infinity)"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		no.Why, no.Remedy = "out of file descriptors", "raise the limit of open files (systemd: LimitNOFILE)"
	case errors.Is(err, unix.EINVAL), errors.Is(err, ring.ErrOperation):
		no.Remedy = "a newer kernel"
	case errors.Is(err, ring.ErrVersion):
		no.Remedy = "build with the version of giouring that go.mod names"
	}
	return no
}
