// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/segment"
)

const day = 24 * time.Hour

// Open opens the log in dir, which exists; an empty directory is an empty log.
// With o.Clean nothing but names, sizes, the newest snapshot and the epoch file
// is read. Otherwise the log is recovered: what follows o.RecoveryPoint is
// checked, and cut at the first bad batch. The files follow the rules of
// Kafka's LogLoader.
func Open(dir string, o Options) (*Log, error) {
	l := newLog(dir, &o)
	began := l.now()
	found, err := listFiles(l)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	r := Recovery{Clean: o.Clean}
	if err := loadLog(l, &o, found, &r); err != nil {
		for _, s := range l.view.Load().segs {
			s.Close()
		}
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	r.End, r.Took = l.End(), l.now().Sub(began)
	if l.events.Recovered != nil && (!r.Clean || r.BytesRead > 0 || r.Reason != "") {
		l.events.Recovered(dir, r)
	}
	return l, nil
}

func newLog(dir string, o *Options) *Log {
	l := &Log{dir: dir, fs: o.FS, now: o.Now, expiryMs: o.ProducerExpiryMs, producers: producer.NewState()}
	if l.now == nil {
		l.now = time.Now
	}
	if l.expiryMs == 0 {
		l.expiryMs = day.Milliseconds()
	}
	if o.Events != nil {
		l.events = *o.Events
	}
	if o.Config == nil {
		o.Config = DefaultConfig()
	}
	l.env.FS, l.env.Dir, l.env.Limit = o.FS, dir, o.Descriptors
	l.env.Rebuilt = func(file string, why error) {
		if l.events.Rebuilt != nil {
			l.events.Rebuilt(dir, file, why.Error())
		}
	}
	l.SetConfig(o.Config)
	l.epochs.Store(&[]epochEntry{})
	l.view.Store(&View{log: l})
	return l
}

// files is what a log directory holds, after leftovers were dealt with.
type files struct {
	segments  []*segment.Segment
	unindexed []*segment.Segment // those that lack an index file
	snapshots []Offset
}

// listFiles reads the directory and removes or finishes what an interrupted
// deletion, cleaning or split left.
func listFiles(l *Log) (files, error) {
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return files{}, err
	}
	again, err := leftovers(l, entries)
	if err != nil {
		return files{}, err
	}
	if again {
		if entries, err = l.fs.ReadDir(l.dir); err != nil {
			return files{}, err
		}
	}
	return sortFiles(l, entries)
}

// sortFiles makes segments of .log files and removes indexes that have none.
func sortFiles(l *Log, entries []fs.DirEntry) (files, error) {
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
		if err := l.fs.Remove(pathOf(l, e.Name())); err != nil {
			return files{}, err
		}
		l.namesDirty = true
	}
	bases := make([]int64, 0, len(logs))
	for base := range logs {
		bases = append(bases, base)
	}
	slices.Sort(bases)
	for _, base := range bases {
		s := segment.Existing(&l.env, base, logs[base], txns[base])
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
func leftovers(l *Log, entries []fs.DirEntry) (changed bool, err error) {
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
		if err := l.fs.Remove(pathOf(l, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
	}
	if len(swaps) > 0 {
		if err := finishSwaps(l, entries, swaps); err != nil {
			return true, err
		}
	}
	l.namesDirty = len(remove) > 0 || len(swaps) > 0
	return l.namesDirty, nil
}

// finishSwaps removes the segments that swapped ones replace, then gives those
// their names.
func finishSwaps(l *Log, entries []fs.DirEntry, swaps []string) error {
	first, end := int64(math.MaxInt64), int64(math.MinInt64)
	for _, name := range swaps {
		offset, suffix, _ := segment.ParseName(name)
		if suffix != segment.LogSuffix+segment.SwapSuffix {
			continue
		}
		next, err := segment.EndOfFile(l.fs, pathOf(l, name), offset)
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
		if err := l.fs.Remove(pathOf(l, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range swaps {
		if err := l.fs.Rename(pathOf(l, name), pathOf(l, strings.TrimSuffix(name, segment.SwapSuffix))); err != nil {
			return err
		}
	}
	return nil
}
