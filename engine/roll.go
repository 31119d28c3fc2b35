// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/samsa-broker/samsa/engine/segment"
)

// Roll begins a new segment at the log end. Nothing may be staged. An empty
// active segment stays.
func (l *Log) Roll() error {
	if err := ready(l); err != nil {
		return err
	}
	if active(l).Size() == 0 && active(l).Base() == int64(l.End()) {
		return nil
	}
	return roll(l, l.End())
}

// roll begins a segment at base. Producer state is that of base.
func roll(l *Log, base Offset) error {
	segs := slices.Clone(l.view.Load().segs)
	last := segs[len(segs)-1]
	if err := last.Seal(); err != nil {
		return ioError(l, "roll", err)
	}
	unused := last.Size() == 0 // begun for an offset that never came
	if unused && last.Base() == int64(base) {
		return nil
	}
	seg, err := segment.Create(&l.env, int64(base), l.now())
	if err != nil {
		return ioError(l, "roll", err)
	}
	l.namesDirty = true
	if err := takeSnapshot(l, base); err != nil {
		seg.Close()
		return ioError(l, "snapshot at roll", err)
	}
	if unused {
		segs = segs[:len(segs)-1]
	}
	l.view.Store(&View{log: l, segs: append(segs, seg)})
	if l.events.Rolled != nil {
		l.events.Rolled(l.dir, base)
	}
	if unused {
		return doom(l, last)
	}
	return nil
}

// takeSnapshot writes producer state as of offset, unless there is a snapshot
// of that or a later offset. It is synced by the next flush.
func takeSnapshot(l *Log, offset Offset) error {
	if n := len(l.snapshots); n > 0 && l.snapshots[n-1] >= offset || n == 0 && offset == 0 {
		return nil
	}
	name := pathOf(l, segment.Name(int64(offset), segment.SnapshotSuffix))
	f, err := l.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(l.producers.AppendSnapshot(nil), 0); err != nil {
		return errors.Join(err, f.Close(), l.fs.Remove(name))
	}
	l.namesDirty = true
	l.newSnaps = append(l.newSnaps, f)
	l.snapshots = append(l.snapshots, offset)
	return nil
}

// dropSnapshots removes the snapshots for which gone is true.
func dropSnapshots(l *Log, gone func(Offset) bool) error {
	var first error
	l.snapshots = slices.DeleteFunc(l.snapshots, func(o Offset) bool {
		if !gone(o) {
			return false
		}
		err := l.fs.Remove(pathOf(l, segment.Name(int64(o), segment.SnapshotSuffix)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && first == nil {
			first = fmt.Errorf("remove snapshot: %w", err)
		}
		l.namesDirty = true
		return true
	})
	return first
}

func pathOf(l *Log, name string) string { return filepath.Join(l.dir, name) }
