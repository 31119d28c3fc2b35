// SPDX-License-Identifier: Apache-2.0

//go:build !sabotage

package journal

import "github.com/samsa-broker/samsa/engine/vfs"

// Sabotaged tells that this build can be told to break its promises.
const Sabotaged = false

func writeDurable(w Writer, f vfs.File, p []byte, off int64, done func(error)) {
	w.WriteDurable(f, p, off, done)
}
