// SPDX-License-Identifier: Apache-2.0

//go:build !sabotage

package dir

// sync makes the names in a directory durable.
func (f *folder) sync(path string) error { return f.fs.SyncDir(path) }
