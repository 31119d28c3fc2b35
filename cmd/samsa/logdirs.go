// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/samsa-broker/samsa/engine/dir"
	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/wire/api"
)

// probeDirs makes the log directories that are missing, and sees which cannot be
// used: the broker goes on with the others, as Kafka does. The same one twice is
// refused, whatever it is called.
func (b *broker) probeDirs() error {
	names := map[string]string{}
	for _, path := range b.conf.LogDirs {
		name, err := probeDir(b.fs, path)
		if err != nil {
			b.lose(path, err)
			continue
		}
		if other, ok := names[name]; ok {
			return fmt.Errorf("log.dirs: %s and %s are the same directory", other, path)
		}
		names[name] = path
	}
	return b.anyUsable()
}

// probeDir makes a directory if it is missing and looks into it; name is the one
// name it has.
func probeDir(fsys vfs.FS, path string) (name string, err error) {
	if err := fsys.MkdirAll(path); err != nil {
		return "", err
	}
	if _, err := fsys.ReadDir(path); err != nil {
		return "", err
	}
	if name, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Abs(name)
}

// lose notes that a log directory cannot be used.
func (b *broker) lose(path string, why error) {
	if b.lost == nil {
		b.lost = map[string]error{}
	}
	b.lost[path] = why
	b.log.Error("log directory is offline: its partitions answer KAFKA_STORAGE_ERROR until a start that can open it", "dir", path, "err", why)
}

// usableDirs are the log directories that are not lost.
func usableDirs(b *broker) []string {
	return slices.DeleteFunc(slices.Clone(b.conf.LogDirs), func(path string) bool { return b.lost[path] != nil })
}

// offlineDirs are those that are.
func offlineDirs(b *broker) []string {
	return slices.DeleteFunc(slices.Clone(b.conf.LogDirs), func(path string) bool { return b.lost[path] == nil })
}

func (b *broker) anyUsable() error {
	if len(usableDirs(b)) > 0 {
		return nil
	}
	var all []error
	for _, path := range b.conf.LogDirs {
		all = append(all, b.lost[path])
	}
	return fmt.Errorf("log.dirs: no directory can be used: %w", errors.Join(all...))
}

// refusing are the errors of a log directory that is not broken: to go on
// without it would hide what an operator has to decide.
var refusing = []error{dir.ErrLocked, dir.ErrMeta, dir.ErrStore, dir.ErrOldStore, dir.ErrDamaged}

// openDir opens one log directory. One that the disk does not give is lost.
func (b *broker) openDir(o dir.Options) (*dir.Dir, error) {
	if why := b.lost[o.Path]; why != nil {
		return dir.Lost(o, why), nil
	}
	d, err := dir.Open(o)
	if errors.Is(err, dir.ErrOldStore) {
		err = fmt.Errorf("%s: %w", b.edge.StoreFile(), err)
	}
	if err == nil || vfs.IsNoSpace(err) || slices.ContainsFunc(refusing, func(r error) bool { return errors.Is(err, r) }) {
		return d, err
	}
	b.lose(o.Path, err)
	return dir.Lost(o, err), b.anyUsable()
}

// storeReachable refuses a start that would go on without the metadata store, or
// with a new one while the old one may stand in a directory that is lost.
func (b *broker) storeReachable() error {
	lost := offlineDirs(b)
	home := ""
	for _, path := range lost {
		if filepath.Clean(path) == filepath.Dir(b.edge.StoreFile()) {
			home = path
		}
	}
	switch {
	case len(lost) == 0:
		return nil
	case b.edge.Fresh():
		return fmt.Errorf("log.dirs: no usable directory holds %s, and it may stand in %s: make that usable again, "+
			"or, if it never held a log of this broker, take it out of log.dirs: %w", b.edge.StoreFile(), strings.Join(lost, ", "), b.lost[lost[0]])
	case home != "":
		return fmt.Errorf("log.dirs: %s, which holds the metadata store, cannot be used: make it usable again, "+
			"or move %s from there to another log directory: %w", home, filepath.Base(b.edge.StoreFile()), b.lost[home])
	}
	return nil
}

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
