// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine/segment"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// epochFile is Kafka's leader-epoch-checkpoint: a line "0", the number of
// entries, then "epoch startOffset" each, both strictly increasing.
const epochFile = "leader-epoch-checkpoint"

// epochEntry says where the records of a leader epoch begin.
type epochEntry struct {
	epoch Epoch
	start Offset
}

func encodeEpochs(list []epochEntry) []byte {
	b := append([]byte("0\n"), strconv.Itoa(len(list))...)
	b = append(b, '\n')
	for _, e := range list {
		b = strconv.AppendInt(b, int64(e.epoch), 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(e.start), 10)
		b = append(b, '\n')
	}
	return b
}

func decodeEpochs(b []byte) ([]epochEntry, error) {
	bad := func(what string) ([]epochEntry, error) {
		return nil, fmt.Errorf("%w: %s: %s", ErrCorrupt, epochFile, what)
	}
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	if len(lines) < 2 || string(lines[0]) != "0" {
		return bad("no version 0")
	}
	if count, err := strconv.Atoi(string(lines[1])); err != nil || count != len(lines)-2 {
		return bad("wrong number of entries")
	}
	var list []epochEntry
	for _, line := range lines[2:] {
		first, second, _ := bytes.Cut(line, []byte(" "))
		epoch, err1 := strconv.ParseInt(string(first), 10, 32)
		start, err2 := strconv.ParseInt(string(second), 10, 64)
		if err1 != nil || err2 != nil || epoch < 0 || start < 0 {
			return bad("unreadable entry")
		}
		if n := len(list); n > 0 && (Epoch(epoch) <= list[n-1].epoch || Offset(start) <= list[n-1].start) {
			return bad("entries do not increase")
		}
		list = append(list, epochEntry{Epoch(epoch), Offset(start)})
	}
	return list, nil
}

// readEpochs reads the epoch file of a log.
func readEpochs(d *folder) ([]epochEntry, error) {
	b, err := d.read(epochFile)
	if err != nil {
		return nil, err
	}
	return decodeEpochs(b)
}

// LastEpochIn is the latest leader epoch that the log in a directory has seen,
// without opening the log; -1 when its file is missing, empty or unreadable.
func LastEpochIn(fsys vfs.FS, dir string) Epoch {
	list, err := readEpochs(&folder{fs: fsys, dir: dir})
	if err != nil || len(list) == 0 {
		return -1
	}
	return list[len(list)-1].epoch
}

// epochs is where in a log its leader epochs begin.
type epochs struct {
	folder *folder
	list   atomic.Pointer[[]epochEntry] // never nil; what it points to is never changed
	dirty  bool                         // the file is behind; belongs to the holder of the turn
}

// load reads the epoch file. An error means that it is missing beside
// records, or not to be trusted.
func (e *epochs) load(empty bool) error {
	list, err := readEpochs(e.folder)
	if errors.Is(err, fs.ErrNotExist) && empty {
		err = nil
	}
	e.list.Store(&list)
	return err
}

// write replaces the file; its name is durable after folder.sync.
func (e *epochs) write(list []epochEntry) error {
	tmp := e.folder.path(epochFile + ".tmp")
	f, err := e.folder.fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(encodeEpochs(list), 0)
	if err == nil {
		err = segment.Sync(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return e.folder.fs.Rename(tmp, e.folder.path(epochFile))
}

// set publishes a new list, which is never changed afterwards.
func (e *epochs) set(list []epochEntry) {
	e.list.Store(&list)
	e.dirty = true
}

// assign notes that epoch begins at start, unless it is known already.
func (e *epochs) assign(epoch Epoch, start Offset) {
	if epoch < 0 || epoch == e.last() {
		return
	}
	old := *e.list.Load()
	n := len(old) // Kafka drops what would not increase: entries behind are of a history that lost
	for n > 0 && (old[n-1].epoch >= epoch || old[n-1].start >= start) {
		n--
	}
	e.set(append(old[:n:n], epochEntry{epoch, start}))
}

// last is the latest leader epoch, -1 if there is none. For any goroutine.
func (e *epochs) last() Epoch {
	list := *e.list.Load()
	if len(list) == 0 {
		return -1
	}
	return list[len(list)-1].epoch
}

// cut drops entries from end on.
func (e *epochs) cut(end Offset) {
	old := *e.list.Load()
	n := len(old)
	for n > 0 && old[n-1].start >= end {
		n--
	}
	if n < len(old) {
		e.set(old[:n:n])
	}
}

// trim drops entries whose records all lie below start; the one in
// which start lies begins there now.
func (e *epochs) trim(start Offset) {
	old := *e.list.Load()
	n := 0
	for n < len(old) && old[n].start <= start {
		n++
	}
	if n == 0 || n == 1 && old[0].start == start {
		return
	}
	list := append([]epochEntry{{old[n-1].epoch, start}}, old[n:]...)
	e.set(list)
}

// AssignEpoch notes that the records from the log end on are of leader epoch
// e. The next Flush makes it durable; until then recovery finds it again in the
// headers of the batches that carry it.
func (l *Log) AssignEpoch(e Epoch) { l.epochs.assign(e, l.End()) }

// BeginEpoch is AssignEpoch, durable before it returns.
func (l *Log) BeginEpoch(e Epoch) error {
	if err := l.fence.usable(); err != nil {
		return err
	}
	l.AssignEpoch(e)
	if !l.epochs.dirty {
		return nil
	}
	l.gate.Lock()
	err := l.epochs.write(*l.epochs.list.Load())
	if err == nil {
		err = l.folder.sync()
	}
	l.gate.Unlock()
	if errors.Is(err, segment.ErrSync) {
		return l.fence.fail("leader epoch", err)
	}
	if err != nil {
		return l.fence.ioError("leader epoch", err)
	}
	l.epochs.dirty = false
	return nil
}

// LastEpoch is the latest leader epoch in the log, -1 if it knows none. For
// any goroutine.
func (l *Log) LastEpoch() Epoch { return l.epochs.last() }

// EpochEnd finds the largest leader epoch in the log that is at most e, and
// where its records end (KIP-320's OffsetsForLeaderEpoch). It answers -1, -1
// when e is not known, and e with the start of the log's first epoch when e is
// older than that. For any goroutine.
func (l *Log) EpochEnd(e Epoch) (Epoch, Offset) {
	list := *l.epochs.list.Load()
	n := len(list)
	if e < 0 || n == 0 || e > list[n-1].epoch {
		return -1, -1
	}
	if e == list[n-1].epoch {
		return e, l.End()
	}
	higher := 0
	for list[higher].epoch <= e {
		higher++
	}
	if higher == 0 {
		return e, list[0].start
	}
	return list[higher-1].epoch, list[higher].start
}
