// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"os"
	"sync"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// Handle is an open .log file and the count of those who use it. One belongs
// to the segment itself; when the last is given back the descriptor closes.
type Handle struct {
	file  vfs.File
	pins  atomic.Int64
	used  atomic.Bool // since the last look of CloseIdle
	dirty bool        // under logFile.mu: bytes were written that no Sync covered
}

// File is the open file. Only while pinned.
func (h *Handle) File() vfs.File { return h.file }

func (h *Handle) pin() bool {
	for {
		n := h.pins.Load()
		if n == 0 {
			return false
		}
		if h.pins.CompareAndSwap(n, n+1) {
			if !h.used.Load() {
				h.used.Store(true)
			}
			return true
		}
	}
}

// Unpin gives a pin back.
func (h *Handle) Unpin() {
	if h.pins.Add(-1) == 0 {
		_ = h.file.Close() // what was written was synced through it, or its loss was reported
	}
}

// logFile is the .log of a segment, open when need be.
type logFile struct {
	at     *location
	limit  *Descriptors
	handle atomic.Pointer[Handle]
	window atomic.Pointer[window] // what was read last of the offset index; it goes with the descriptor

	mu   sync.Mutex // guards opening and going, and the loading of the segment's indexes
	gone bool
}

// pin opens the file if need be and keeps it open until Unpin. ErrGone once the
// segment is deleted. For any goroutine.
func (l *logFile) pin() (*Handle, error) {
	if h := l.handle.Load(); h != nil && h.pin() {
		return h, nil
	}
	l.mu.Lock()
	h, opened, err := l.pinLocked()
	l.mu.Unlock()
	if opened {
		l.limit.opened(l)
	}
	return h, err
}

func (l *logFile) pinLocked() (h *Handle, opened bool, err error) {
	if l.gone {
		return nil, false, ErrGone
	}
	if h := l.handle.Load(); h != nil && h.pin() {
		return h, false, nil
	}
	file, err := l.at.open(LogSuffix, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, false, err
	}
	h = &Handle{file: file}
	h.pins.Store(2)
	h.used.Store(true)
	l.handle.Store(h)
	return h, true, nil
}

// pinDirty pins for writing: the descriptor cannot be closed as idle before a
// Sync through it succeeded.
func (l *logFile) pinDirty() (*Handle, error) {
	l.mu.Lock()
	h, opened, err := l.pinLocked()
	if err == nil {
		h.dirty = true
	}
	l.mu.Unlock()
	if opened {
		l.limit.opened(l)
	}
	return h, err
}

// closeIdle closes the descriptor if it was not used since the last call, and
// says whether it is closed. Holds mu.
func (l *logFile) closeIdle() bool {
	h := l.handle.Load()
	if h == nil || h.dirty || h.used.Swap(false) {
		return h == nil
	}
	l.handle.Store(nil)
	l.window.Store(nil)
	l.limit.closed()
	h.Unpin()
	return true
}

// retire makes pin fail from now on and takes the segment's own pin away.
func (l *logFile) retire() *Handle {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	h := l.handle.Load()
	l.handle.Store(nil)
	if h != nil {
		l.limit.closed()
	}
	return h
}

// Pin opens the .log if need be and keeps it open until Unpin. ErrGone once
// the segment is deleted. For any goroutine.
func (s *Segment) Pin() (*Handle, error) { return s.file.pin() }

// CloseIdle closes the descriptor if nobody used it since the last call and
// nothing unsynced was written through it. It also forgets what was read from
// the indexes. For any goroutine.
func (s *Segment) CloseIdle() {
	s.file.mu.Lock()
	defer s.file.mu.Unlock()
	s.file.closeIdle()
}

// Descriptors limits how many .log files the segments that share it keep open
// without need. It can be exceeded while more than that are pinned or dirty. A
// nil *Descriptors limits nothing.
type Descriptors struct {
	limit int
	open  atomic.Int64
	mu    sync.Mutex
	hand  []*logFile // a clock: who was opened, oldest first
}

// NewDescriptors returns a limit.
func NewDescriptors(limit int) *Descriptors { return &Descriptors{limit: limit} }

// Open is the number of files open now.
func (d *Descriptors) Open() int {
	if d == nil {
		return 0
	}
	return int(d.open.Load())
}

func (d *Descriptors) closed() {
	if d != nil {
		d.open.Add(-1)
	}
}

// opened counts l and closes what is idle while there are too many. Each
// file gets a second chance, so one round looks at each at most twice.
func (d *Descriptors) opened(l *logFile) {
	if d == nil {
		return
	}
	d.open.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hand = append(d.hand, l)
	for looks := 2 * len(d.hand); looks > 0 && d.open.Load() > int64(d.limit); looks-- {
		oldest := d.hand[0]
		d.hand = d.hand[1:]
		if oldest == l || !oldest.mu.TryLock() { // never wait for another file here
			d.hand = append(d.hand, oldest)
			continue
		}
		closed := oldest.closeIdle()
		oldest.mu.Unlock()
		if !closed {
			d.hand = append(d.hand, oldest)
		}
	}
}
