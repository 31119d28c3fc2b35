// SPDX-License-Identifier: Apache-2.0

//go:build !sabotage

package dir

// syncDir makes the names in a directory durable.
func (d *Dir) syncDir(path string) error { return d.o.FS.SyncDir(path) }
