// SPDX-License-Identifier: Apache-2.0

//go:build linux && giouring

package netpoll

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/samsa-broker/samsa/netpoll/ring"
)

// What keeps io_uring away is told apart, in words an operator can act on.
func TestUringRefusals(t *testing.T) {
	for _, c := range []struct {
		no   *Refusal
		want string
	}{
		{uringKernel("5.15.0-91-generic"), "older than 6.1"},
		{uringKernel("6.0.9"), "older than 6.1"},
		{uringKernel("6.1.0"), ""},
		{uringKernel("10.0-rc1"), ""},
		{uringSysctl("0", false), ""},
		{uringSysctl("1", true), ""},
		{uringSysctl("1", false), "io_uring_disabled is 1"},
		{uringSysctl("2", true), "io_uring_disabled is 2"},
		{uringRefusal(fmt.Errorf("ring: setup: %w", unix.EPERM)), "seccomp"},
		{uringRefusal(fmt.Errorf("ring: setup: %w", unix.ENOSYS)), "without io_uring"},
		{uringRefusal(fmt.Errorf("ring: setup: %w", unix.ENOMEM)), "memlock"},
		{uringRefusal(fmt.Errorf("%w: number 41", ring.ErrOperation)), "newer kernel"},
	} {
		if c.want == "" {
			if c.no != nil {
				t.Errorf("refused: %s", c.no)
			}
			continue
		}
		if c.no == nil || !strings.Contains(c.no.String(), c.want) || c.no.Remedy == "" || strings.Contains(c.no.String(), "\n") {
			t.Errorf("refusal %v lacks %q or a remedy", c.no, c.want)
		}
	}
}
