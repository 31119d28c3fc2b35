// SPDX-License-Identifier: Apache-2.0

//go:build sabotage

package dir

import "os"

// sync makes the names in a directory durable, unless this build was told
// not to: see package journal.
func (f *folder) sync(path string) error {
	if os.Getenv("SAMSA_SABOTAGE") == "dirsync" {
		return nil
	}
	return f.fs.SyncDir(path)
}
