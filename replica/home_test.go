// SPDX-License-Identifier: Apache-2.0

package replica

import (
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
type inbox struct{ tasks []Task }

func (h *inbox) Post(t Task) { h.tasks = append(h.tasks, t) }

func (h *inbox) drain() (n int) {
	for len(h.tasks) > 0 {
		tasks := h.tasks
		h.tasks = nil
		for _, t := range tasks {
			t.Run()
			n++
		}
	}
	return n
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
