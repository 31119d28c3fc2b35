// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Accepted sockets have what the listener was given: nothing is delayed on them,
// without a system call for each.
func TestAcceptedSocketsDelayNothing(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := Listen(addr, ListenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fd, _, err := unix.Accept(ln.fd)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if on, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || on == 0 {
			t.Errorf("%s: TCP_NODELAY is %d, %v", addr, on, err)
		}
		if got, want := newSock(fd).LocalAddr().String(), c.RemoteAddr().String(); got != want {
			t.Errorf("%s: local address %s, the peer's remote one is %s", addr, got, want)
		}
	}
}
