// SPDX-License-Identifier: Apache-2.0

package main

import "sync"

// pool runs work on at most limit goroutines, in the order it came. Its queue
// has no bound of its own: what is queued was admitted by a budget before.
type pool struct {
	limit int

	mu      sync.Mutex
	queue   []func()
	running int
	closed  bool
	idle    sync.Cond // running fell to 0
}

func newPool(limit int) *pool {
	p := &pool{limit: limit}
	p.idle.L = &p.mu
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
	if p.running < p.limit {
		p.running++
		go p.work()
	}
}

// work runs what is queued and ends when nothing is.
func (p *pool) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 {
		f := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		p.mu.Unlock()
		f()
		p.mu.Lock()
	}
	p.running--
	if p.running == 0 {
		p.queue = nil
		p.idle.Broadcast()
	}
}

// close waits for what is queued and takes nothing more.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for p.running > 0 {
		p.idle.Wait()
	}
}
