// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/samsa-broker/samsa/wire/api"

// logDirs shows the log directories to the administrative APIs.
type logDirs struct{ b *broker }

// LogDirs describes every configured log directory.
func (l logDirs) LogDirs() []api.LogDir {
	list := make([]api.LogDir, len(l.b.dirs))
	at := map[string]int{}
	for i, d := range l.b.dirs {
		free, total, err := d.Usage()
		if err != nil {
			free, total = -1, -1
		}
		list[i] = api.LogDir{Path: d.Path(), Err: d.Err(), Total: total, Usable: free}
		at[d.Path()] = i
	}
	for _, p := range l.b.set.Partitions() {
		dir := &list[at[p.Dir().Path()]]
		dir.Replicas = append(dir.Replicas, api.LogDirReplica{Partition: p.ID(), Size: p.Size(),
			OffsetLag: max(0, int64(p.HighWatermark()-p.LogEnd()))})
	}
	return list
}
