// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

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

func readEpochs(l *Log) ([]epochEntry, error) {
	f, err := l.fs.OpenFile(pathOf(l, epochFile), os.O_RDONLY, 0)
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
	return decodeEpochs(b[:n])
}

// LastEpochIn is the latest leader epoch that the log in a directory has seen,
// without opening the log; -1 when its file is missing, empty or unreadable.
func LastEpochIn(fsys vfs.FS, dir string) Epoch {
	list, err := readEpochs(&Log{fs: fsys, dir: dir})
	if err != nil || len(list) == 0 {
		return -1
	}
	return list[len(list)-1].epoch
}

// writeEpochs replaces the file; its name is durable after SyncDir.
func writeEpochs(l *Log, list []epochEntry) error {
	tmp := pathOf(l, epochFile+".tmp")
	f, err := l.fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
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
	return l.fs.Rename(tmp, pathOf(l, epochFile))
}

// setEpochs publishes a new list, which is never changed afterwards.
func setEpochs(l *Log, list []epochEntry) {
	l.epochs.Store(&list)
	l.epochsDirty = true
}

// assignEpoch notes that epoch begins at start, unless it is known already.
func assignEpoch(l *Log, epoch Epoch, start Offset) {
	if epoch < 0 || epoch == l.LastEpoch() {
		return
	}
	old := *l.epochs.Load()
	n := len(old) // Kafka drops what would not increase: entries behind are of a history that lost
	for n > 0 && (old[n-1].epoch >= epoch || old[n-1].start >= start) {
		n--
	}
	setEpochs(l, append(old[:n:n], epochEntry{epoch, start}))
}

// AssignEpoch notes that the records from the log end on are of leader epoch
// e. The next Flush makes it durable; until then recovery finds it again in the
// headers of the batches that carry it.
func (l *Log) AssignEpoch(e Epoch) { assignEpoch(l, e, l.End()) }

// BeginEpoch is AssignEpoch, durable before it returns.
func (l *Log) BeginEpoch(e Epoch) error {
	if err := usable(l); err != nil {
		return err
	}
	l.AssignEpoch(e)
	if !l.epochsDirty {
		return nil
	}
	l.flushing.Lock()
	err := writeEpochs(l, *l.epochs.Load())
	if err == nil {
		err = syncDir(l)
	}
	l.flushing.Unlock()
	if errors.Is(err, segment.ErrSync) {
		return fail(l, "leader epoch", err)
	}
	if err != nil {
		return ioError(l, "leader epoch", err)
	}
	l.epochsDirty = false
	return nil
}

// LastEpoch is the latest leader epoch in the log, -1 if it knows none. For
// any goroutine.
func (l *Log) LastEpoch() Epoch {
	list := *l.epochs.Load()
	if len(list) == 0 {
		return -1
	}
	return list[len(list)-1].epoch
}

// EpochEnd finds the largest leader epoch in the log that is at most e, and
// where its records end (KIP-320's OffsetsForLeaderEpoch). It answers -1, -1
// when e is not known, and e with the start of the log's first epoch when e is
// older than that. For any goroutine.
func (l *Log) EpochEnd(e Epoch) (Epoch, Offset) {
	list := *l.epochs.Load()
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

// cutEpochs drops entries from end on.
func cutEpochs(l *Log, end Offset) {
	old := *l.epochs.Load()
	n := len(old)
	for n > 0 && old[n-1].start >= end {
		n--
	}
	if n < len(old) {
		setEpochs(l, old[:n:n])
	}
}

// trimEpochs drops entries whose records all lie below start; the one in
// which start lies begins there now.
func trimEpochs(l *Log, start Offset) {
	old := *l.epochs.Load()
	n := 0
	for n < len(old) && old[n].start <= start {
		n++
	}
	if n == 0 || n == 1 && old[0].start == start {
		return
	}
	list := append([]epochEntry{{old[n-1].epoch, start}}, old[n:]...)
	setEpochs(l, list)
}
