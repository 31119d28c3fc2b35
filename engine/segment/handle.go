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
	dirty bool        // under Segment.mu: bytes were written that no Sync covered
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

// Pin opens the .log if need be and keeps it open until Unpin. ErrGone once
// the segment is deleted. For any goroutine.
func (s *Segment) Pin() (*Handle, error) {
	if h := s.handle.Load(); h != nil && h.pin() {
		return h, nil
	}
	s.mu.Lock()
	h, opened, err := pinLocked(s)
	s.mu.Unlock()
	if opened {
		s.limit.opened(s)
	}
	return h, err
}

func pinLocked(s *Segment) (h *Handle, opened bool, err error) {
	if s.gone {
		return nil, false, ErrGone
	}
	if h := s.handle.Load(); h != nil && h.pin() {
		return h, false, nil
	}
	file, err := s.fs.OpenFile(pathOf(s, LogSuffix), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, false, err
	}
	h = &Handle{file: file}
	h.pins.Store(2)
	h.used.Store(true)
	s.handle.Store(h)
	return h, true, nil
}

// pinDirty pins for writing: the descriptor cannot be closed as idle before a
// Sync through it succeeded.
func pinDirty(s *Segment) (*Handle, error) {
	s.mu.Lock()
	h, opened, err := pinLocked(s)
	if err == nil {
		h.dirty = true
	}
	s.mu.Unlock()
	if opened {
		s.limit.opened(s)
	}
	return h, err
}

// CloseIdle closes the descriptor if nobody used it since the last call and
// nothing unsynced was written through it. It also forgets what was read from
// the indexes. For any goroutine.
func (s *Segment) CloseIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeIdleLocked(s)
}

func closeIdleLocked(s *Segment) bool {
	h := s.handle.Load()
	if h == nil || h.dirty || h.used.Swap(false) {
		return h == nil
	}
	s.handle.Store(nil)
	s.window.Store(nil)
	s.limit.closed()
	h.Unpin()
	return true
}

// retire makes Pin fail from now on and takes the segment's own pin away.
func retire(s *Segment) *Handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	h := s.handle.Load()
	s.handle.Store(nil)
	if h != nil {
		s.limit.closed()
	}
	return h
}

// Descriptors limits how many .log files the segments that share it keep open
// without need. It can be exceeded while more than that are pinned or dirty. A
// nil *Descriptors limits nothing.
type Descriptors struct {
	limit int
	open  atomic.Int64
	mu    sync.Mutex
	hand  []*Segment // a clock: who was opened, oldest first
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

// opened counts s and closes what is idle while there are too many. Each
// segment gets a second chance, so one round looks at each at most twice.
func (d *Descriptors) opened(s *Segment) {
	if d == nil {
		return
	}
	d.open.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hand = append(d.hand, s)
	for looks := 2 * len(d.hand); looks > 0 && d.open.Load() > int64(d.limit); looks-- {
		oldest := d.hand[0]
		d.hand = d.hand[1:]
		if oldest == s || !oldest.mu.TryLock() { // never wait for another segment here
			d.hand = append(d.hand, oldest)
			continue
		}
		closed := closeIdleLocked(oldest)
		oldest.mu.Unlock()
		if !closed {
			d.hand = append(d.hand, oldest)
		}
	}
}
