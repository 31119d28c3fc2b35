// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package journal

import "unsafe"

// mapBuffer returns n bytes aligned to a block.
func mapBuffer(n int) ([]byte, error) {
	b := make([]byte, n+Block)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) % Block)
	return b[skip : skip+n : skip+n], nil
}

func unmapBuffer([]byte) {}

func forgetBuffer([]byte) {}
