// SPDX-License-Identifier: Apache-2.0

//go:build sabotage

package dir

import "os"

// syncDir makes the names in a directory durable, unless this build was told
// not to: see package journal.
func (d *Dir) syncDir(path string) error {
	if os.Getenv("SAMSA_SABOTAGE") == "dirsync" {
		return nil
	}
	return d.o.FS.SyncDir(path)
}
