// SPDX-License-Identifier: Apache-2.0

package api

import "sync"

// poolPlainBytes bounds what a batch may decompress to beside others on the
// pool. What is more, a bomb as a rule, is opened one batch at a time.
const poolPlainBytes = 8 << 20

// poolHeldBytes bounds what of it is held at once: records are streamed, but for
// those that are compressed anew and codecs that look back too far.
const poolHeldBytes = 4 << 20

// turnstile lets one request at a time do what takes much memory. Nobody blocks
// in it: who finds it taken is run later.
type turnstile struct {
	mu      sync.Mutex
	taken   bool
	waiting []*produceCall // in order
}

// enter is true when s may go on; else s.wide is run on the pool once it may.
func (t *turnstile) enter(s *produceCall) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		t.waiting = append(t.waiting, s)
		return false
	}
	t.taken = true
	return true
}

// leave lets the next one in.
func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.taken = false
		return
	}
	next := t.waiting[0]
	t.waiting = append(t.waiting[:0], t.waiting[1:]...)
	next.c.Go(&next.wide)
}
