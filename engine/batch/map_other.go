// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package batch

// mapped is n bytes of the heap.
func mapped(n int) []byte { return make([]byte, n) }

// unmapped leaves them to the garbage collector.
func unmapped([]byte) {}
