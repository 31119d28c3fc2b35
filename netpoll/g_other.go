// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 && !arm64

package netpoll

import (
	"bytes"
	"runtime"
	"strconv"
)

// goroutine is a number that no other living goroutine has. It is read from the
// head of a stack trace, which is slow but the same everywhere.
func goroutine() uintptr {
	var b [64]byte
	text := bytes.TrimPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	text, _, _ = bytes.Cut(text, []byte(" "))
	n, _ := strconv.ParseUint(string(text), 10, 64)
	return uintptr(n)
}
