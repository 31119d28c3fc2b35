// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// loop is a Home for tests: one goroutine, one inbox, in order.
type loop struct {
	mu    sync.Mutex
	some  sync.Cond
	tasks []Task
	spare []Task
	stop  bool
	done  chan struct{}
}

func newLoop(t testing.TB) *loop {
	l := &loop{done: make(chan struct{})}
	l.some.L = &l.mu
	go l.run()
	t.Cleanup(func() {
		l.mu.Lock()
		l.stop = true
		l.mu.Unlock()
		l.some.Signal()
		<-l.done
	})
	return l
}

func (l *loop) Post(t Task) {
	l.mu.Lock()
	l.tasks = append(l.tasks, t)
	l.mu.Unlock()
	l.some.Signal()
}

func (l *loop) run() {
	defer close(l.done)
	for {
		l.mu.Lock()
		for len(l.tasks) == 0 && !l.stop {
			l.some.Wait()
		}
		if len(l.tasks) == 0 {
			l.mu.Unlock()
			return
		}
		l.tasks, l.spare = l.spare[:0], l.tasks
		batch := l.spare
		l.mu.Unlock()
		for _, t := range batch {
			t.Run()
		}
	}
}

// call runs f on the loop and waits for it.
func (l *loop) call(f func()) {
	done := make(chan struct{})
	l.Post(funcTask(func() { f(); close(done) }))
	<-done
}

// inbox is a Home that runs nothing until told to.
type inbox struct {
	mu    sync.Mutex
	tasks []Task
	first int
}

func (h *inbox) Post(t Task) {
	h.mu.Lock()
	h.tasks = append(h.tasks, t)
	h.mu.Unlock()
}

// drain runs what was posted, and what that posts; never two at a time.
func (h *inbox) drain() {
	for {
		h.mu.Lock()
		if h.first == len(h.tasks) {
			h.tasks, h.first = h.tasks[:0], 0
			h.mu.Unlock()
			return
		}
		t := h.tasks[h.first]
		h.first++
		h.mu.Unlock()
		t.Run()
	}
}

// drainUntil stands in for the goroutine of a loop.
func (h *inbox) drainUntil(closed <-chan struct{}) {
	for {
		select {
		case <-closed:
			return
		default:
			h.drain()
			runtime.Gosched()
		}
	}
}

// until drains until something has come true.
func (h *inbox) until(t testing.TB, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !true(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come within 20 s", what)
		}
		h.drain()
	}
}

// within waits for something that must happen.
func within(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not happen within 20 s", what)
	}
}
