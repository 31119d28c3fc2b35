// SPDX-License-Identifier: Apache-2.0

package main

import "sync"

// pool runs work on at most limit goroutines, in the order it came. Its queue
// has no bound of its own: what is queued was admitted by a budget before. In
// steady state it allocates nothing: goroutines, once begun, wait for more.
type pool struct {
	limit int

	mu      sync.Mutex
	queue   []func() // from head on
	head    int
	workers int
	idle    int
	closed  bool
	more    sync.Cond // something was queued, or close was called
	ended   sync.WaitGroup
}

// compactAt is how many finished entries the queue may begin with.
const compactAt = 1024

func newPool(limit int) *pool {
	p := &pool{limit: limit}
	p.more.L = &p.mu
	return p
}

// do queues f; it never blocks. After close it does nothing.
func (p *pool) do(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.queue = append(p.queue, f)
	if waiting := len(p.queue) - p.head; waiting > p.idle && p.workers < p.limit {
		p.workers++
		p.ended.Add(1)
		go p.work()
		return
	}
	p.more.Signal()
}

// work runs what is queued until close.
func (p *pool) work() {
	defer p.ended.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for p.head == len(p.queue) {
			if p.closed {
				return
			}
			p.idle++
			p.more.Wait()
			p.idle--
		}
		f := p.queue[p.head]
		p.queue[p.head] = nil
		if p.head++; p.head == len(p.queue) || p.head == compactAt {
			n := copy(p.queue, p.queue[p.head:])
			clear(p.queue[n:])
			p.queue, p.head = p.queue[:n], 0
		}
		p.mu.Unlock()
		f()
		p.mu.Lock()
	}
}

// close waits for what is queued and takes nothing more.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.more.Broadcast()
	p.ended.Wait()
}
