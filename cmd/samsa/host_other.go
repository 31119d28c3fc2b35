// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

// writesBlock is only asked for by a backend that exists on Linux.
func writesBlock(uintptr) bool { return true }

// memory is how many bytes the process may use. 0: not known.
func memory() int64 { return 0 }
