// SPDX-License-Identifier: Apache-2.0

//go:build !garbage

package garbage

// Start does something in builds with the tag "garbage" only.
func Start() {}
