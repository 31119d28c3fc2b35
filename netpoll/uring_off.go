// SPDX-License-Identifier: Apache-2.0

//go:build linux && !giouring

package netpoll

// openUring refuses: this build has no io_uring.
func openUring(Options) (Loop, *Refusal) {
	return nil, &Refusal{Backend: "uring", Why: "not in this build", Remedy: "make build sets -tags giouring"}
}
