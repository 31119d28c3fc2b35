// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package hostile

// beFlooder does nothing: there are no flooders on this system.
func beFlooder() {}
