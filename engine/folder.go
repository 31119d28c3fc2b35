// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/samsa-broker/samsa/engine/segment"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// folder is a log's directory.
type folder struct {
	fs    vfs.FS
	dir   string
	dirty bool // directory entries are not synced; belongs to the holder of the turn
}

func (d *folder) path(name string) string { return filepath.Join(d.dir, name) }

// read gives a whole file.
func (d *folder) read(name string) ([]byte, error) {
	f, err := d.fs.OpenFile(d.path(name), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// sync makes names durable. For any goroutine.
func (d *folder) sync() error {
	if err := d.fs.SyncDir(d.dir); err != nil {
		return fmt.Errorf("%w: %w", segment.ErrSync, err)
	}
	return nil
}

// files is what a log directory holds, after leftovers were dealt with.
type files struct {
	segments  []*segment.Segment
	unindexed []*segment.Segment // those that lack an index file
	snapshots []Offset
}

// list reads the directory and removes or finishes what an interrupted
// deletion, cleaning or split left.
func (d *folder) list(env *segment.Env) (files, error) {
	entries, err := d.fs.ReadDir(d.dir)
	if err != nil {
		return files{}, err
	}
	again, err := d.leftovers(entries)
	if err != nil {
		return files{}, err
	}
	if again {
		if entries, err = d.fs.ReadDir(d.dir); err != nil {
			return files{}, err
		}
	}
	return d.sort(env, entries)
}

// sort makes segments of .log files and removes indexes that have none.
func (d *folder) sort(env *segment.Env, entries []fs.DirEntry) (files, error) {
	var found files
	logs := make(map[int64]int64) // base -> size
	txns := make(map[int64]bool)
	indexes := make(map[int64]int)
	for _, e := range entries {
		offset, suffix, ok := segment.ParseName(e.Name())
		if !ok || e.IsDir() {
			continue
		}
		switch suffix {
		case segment.LogSuffix:
			info, err := e.Info()
			if err != nil {
				return files{}, err
			}
			logs[offset] = info.Size()
		case segment.IndexSuffix, segment.TimeIndexSuffix:
			indexes[offset]++
		case segment.TxnIndexSuffix:
			txns[offset] = true
		case segment.SnapshotSuffix:
			found.snapshots = append(found.snapshots, Offset(offset))
		}
	}
	for _, e := range entries {
		offset, suffix, ok := segment.ParseName(e.Name())
		index := suffix == segment.IndexSuffix || suffix == segment.TimeIndexSuffix || suffix == segment.TxnIndexSuffix
		if _, has := logs[offset]; !ok || !index || has || e.IsDir() {
			continue
		}
		if err := d.fs.Remove(d.path(e.Name())); err != nil {
			return files{}, err
		}
		d.dirty = true
	}
	bases := make([]int64, 0, len(logs))
	for base := range logs {
		bases = append(bases, base)
	}
	slices.Sort(bases)
	for _, base := range bases {
		s := segment.Existing(env, base, logs[base], txns[base])
		found.segments = append(found.segments, s)
		if indexes[base] < 2 {
			found.unindexed = append(found.unindexed, s)
		}
	}
	slices.Sort(found.snapshots)
	return found, nil
}

// leftovers carries out what Kafka's LogLoader does with .deleted, .cleaned
// and .swap files, and tells whether it changed anything.
func (d *folder) leftovers(entries []fs.DirEntry) (changed bool, err error) {
	smallestCleaned := int64(math.MaxInt64)
	var remove, swaps []string
	for _, e := range entries {
		name := e.Name()
		offset, _, ok := segment.ParseName(name)
		switch {
		case e.IsDir():
		case strings.HasSuffix(name, segment.DeletedSuffix), name == epochFile+".tmp":
			remove = append(remove, name)
		case ok && strings.HasSuffix(name, segment.CleanedSuffix):
			smallestCleaned = min(smallestCleaned, offset)
			remove = append(remove, name)
		case ok && strings.HasSuffix(name, segment.SwapSuffix):
			swaps = append(swaps, name)
		}
	}
	// A swap at or behind a .cleaned is of a split that did not get far enough.
	swaps = slices.DeleteFunc(swaps, func(name string) bool {
		offset, _, _ := segment.ParseName(name)
		if offset >= smallestCleaned {
			remove = append([]string{name}, remove...)
			return true
		}
		return false
	})
	for _, name := range remove {
		if err := d.fs.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
	}
	if len(swaps) > 0 {
		if err := d.finishSwaps(entries, swaps); err != nil {
			return true, err
		}
	}
	d.dirty = len(remove) > 0 || len(swaps) > 0
	return d.dirty, nil
}

// finishSwaps removes the segments that swapped ones replace, then gives those
// their names.
func (d *folder) finishSwaps(entries []fs.DirEntry, swaps []string) error {
	first, end := int64(math.MaxInt64), int64(math.MinInt64)
	for _, name := range swaps {
		offset, suffix, _ := segment.ParseName(name)
		if suffix != segment.LogSuffix+segment.SwapSuffix {
			continue
		}
		next, err := segment.EndOfFile(d.fs, d.path(name), offset)
		if err != nil {
			return err
		}
		first, end = min(first, offset), max(end, next)
	}
	for _, e := range entries {
		name := e.Name()
		offset, suffix, ok := segment.ParseName(name)
		if !ok || e.IsDir() || strings.HasSuffix(suffix, segment.SwapSuffix) || offset < first || offset >= end {
			continue
		}
		if err := d.fs.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range swaps {
		if err := d.fs.Rename(d.path(name), d.path(strings.TrimSuffix(name, segment.SwapSuffix))); err != nil {
			return err
		}
	}
	return nil
}
