// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package server

// mapBytes returns ordinary memory where nothing can be mapped.
func mapBytes(n int) []byte { return make([]byte, n) }

// unmapBytes leaves it to the garbage collector.
func unmapBytes([]byte) {}
