// SPDX-License-Identifier: Apache-2.0

package replica

// Task is something a Home runs once. A netpoll.Message is one too.
type Task = interface{ Run() }

// Home is a goroutine with an inbox: an event loop. Post may be called from any
// goroutine, keeps the order of each poster, and never runs the task on the
// caller's stack. A netpoll.Loop is a Home.
type Home interface{ Post(t Task) }

// funcTask is a Task made of a function, for what is rare enough to allocate.
type funcTask func()

func (f funcTask) Run() { f() }

// post runs f on home, or right here when there is none.
func post(home Home, f func()) {
	if home == nil {
		f()
		return
	}
	home.Post(funcTask(f))
}
