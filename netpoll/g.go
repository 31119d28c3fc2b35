// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package netpoll

// goroutine is a number that no other living goroutine has: the address of the
// runtime's record of the caller. It is compared, never followed.
func goroutine() uintptr
