// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	epollBatch = 256
	// The wake-up and the timer are known by slots that no socket has.
	slotWake  = int32(-1)
	slotTimer = int32(-2)
)

// epollLoop imitates completions: it learns that a socket is ready, makes the
// call, and reports. Readiness is edge-triggered and remembered in the Sock, so
// a busy socket costs no registration calls.
type epollLoop struct {
	core
	arena *arena

	ep, wakeFd, timerFd int
	timerAt             int64 // when the kernel's timer fires; 0: not armed
	idle                bool  // the last wait was long: wait like everybody else
	events              [epollBatch]unix.EpollEvent

	table   []epollEntry // what a registered descriptor belongs to
	free    []int32
	work    workList // sockets to serve this turn
	starved opList   // receives that found no buffer
	budget  int      // bytes that SendFile may still move this turn
	scratch []byte   // bytes of a FileAt on their way
}

// epollEntry says whose events come with a slot. A slot is reused under another
// generation, so events fetched before a close find nobody.
type epollEntry struct {
	sock   *Sock
	accept *Op
	gen    int32
}

func openEpoll(o Options) (Loop, *Refusal) {
	l := &epollLoop{ep: -1, wakeFd: -1, timerFd: -1, idle: true}
	l.init("epoll", o, l)
	l.locks = true
	l.files = newWorkers(&l.core)
	if err := l.open(); err != nil {
		l.destroy()
		return nil, &Refusal{Backend: "epoll", Why: err.Error(), Remedy: "raise the limit of open files or memory"}
	}
	return l, nil
}

func (l *epollLoop) open() (err error) {
	if l.arena, err = newArena(l.opts.RecvBuffers, true); err != nil {
		return err
	}
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if l.wakeFd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return err
	}
	if l.timerFd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return err
	}
	if err = l.control(unix.EPOLL_CTL_ADD, l.wakeFd, unix.EPOLLIN|unix.EPOLLET, slotWake, 0); err != nil {
		return err
	}
	return l.control(unix.EPOLL_CTL_ADD, l.timerFd, unix.EPOLLIN|unix.EPOLLET, slotTimer, 0)
}

func (l *epollLoop) control(how, fd int, events uint32, slot, gen int32) error {
	ev := unix.EpollEvent{Events: events, Fd: slot, Pad: gen}
	return unix.EpollCtl(l.ep, how, fd, &ev)
}

// enlist gives an owner a slot of the table.
func (l *epollLoop) enlist(s *Sock, accept *Op) int32 {
	n := len(l.free)
	if n == 0 {
		l.table = append(l.table, epollEntry{sock: s, accept: accept})
		return int32(len(l.table) - 1)
	}
	slot := l.free[n-1]
	l.free = l.free[:n-1]
	l.table[slot].sock, l.table[slot].accept = s, accept
	return slot
}

func (l *epollLoop) delist(slot int32) {
	e := &l.table[slot]
	e.sock, e.accept = nil, nil
	e.gen++
	l.free = append(l.free, slot)
}

func (l *epollLoop) prepare() error { return nil }

func (l *epollLoop) outstanding() int { return l.files.running }

func (l *epollLoop) destroy() {
	l.files.close()
	for _, fd := range []int{l.ep, l.wakeFd, l.timerFd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if l.arena != nil {
		l.arena.close()
	}
}

func (l *epollLoop) wake() {
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(l.wakeFd), uintptr(unsafe.Pointer(&one)), 8)
}

// wait fetches readiness. While traffic is dense it blocks in a raw system call,
// which keeps this thread's processor; the scheduler's signal ends such a wait
// after 10 ms, and then the loop is idle and waits like everybody else, until
// wake-ups come less than a millisecond apart.
func (l *epollLoop) wait(block bool) {
	timeout := 0
	if block {
		timeout = -1
		l.armKernelTimer()
	}
	var n uintptr
	var e syscall.Errno
	if block && (l.idle || !l.dense) {
		before := monotonic()
		n, _, e = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&l.events[0])), epollBatch, uintptr(timeout), 0, 0)
		if e == 0 && n > 0 && monotonic()-before < int64(1e6) {
			l.idle = false
		}
	} else {
		n, _, e = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&l.events[0])), epollBatch, uintptr(timeout), 0, 0)
		if block && (e != 0 || n == 0) {
			l.idle = true
		}
	}
	if e != 0 {
		return // EINTR: as good as a wake-up
	}
	for i := range l.events[:n] {
		l.event(&l.events[i])
	}
}

// armKernelTimer sets the timer descriptor if something is due before it fires.
// One that fires too early, because its timer was disarmed, only costs a turn.
func (l *epollLoop) armKernelTimer() {
	due, any := l.wheel.due()
	if !any || (l.timerAt != 0 && l.timerAt <= due) {
		return
	}
	left := max(due-monotonic(), 1)
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(left)}
	if unix.TimerfdSettime(l.timerFd, 0, &spec, nil) == nil {
		l.timerAt = due
	}
}

// event notes what became ready.
func (l *epollLoop) event(ev *unix.EpollEvent) {
	switch ev.Fd {
	// Both are edge-triggered: each write, each expiry is an event, and nobody
	// needs to read the count.
	case slotWake:
		return
	case slotTimer:
		l.timerAt = 0
		return
	}
	e := &l.table[ev.Fd]
	if e.gen != ev.Pad {
		if l.opts.Events.Dropped != nil {
			l.opts.Events.Dropped(uint64(uint32(ev.Fd)))
		}
		return
	}
	if e.accept != nil {
		l.accept(e.accept)
		return
	}
	const gone = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	s := e.sock
	s.readable = s.readable || ev.Events&(unix.EPOLLIN|gone) != 0
	s.writable = s.writable || ev.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0
	s.hup = s.hup || ev.Events&gone != 0
	l.work.push(s)
}

// turn serves the sockets that have both something to do and readiness.
func (l *epollLoop) turn() (again bool) {
	l.budget = l.opts.TurnBytes
	for n := min(l.starved.n, len(l.arena.free)); n > 0; n-- {
		l.work.push(l.starved.pop().Sock)
	}
	for n := l.work.n; n > 0; n-- {
		if s := l.work.pop(); !s.closed {
			l.serve(s)
		}
	}
	return l.work.n > 0
}

// recycle frees a buffer; turn lets a starved socket have it.
func (l *epollLoop) recycle(b Buf) { l.arena.give(l.arena.back(b)) }

// workList is an intrusive list of sockets to serve; a socket stands in it once.
type workList struct {
	head, tail *Sock
	n          int
}

func (q *workList) push(s *Sock) {
	if s.queued {
		return
	}
	s.queued, s.nextWork = true, nil
	if q.tail == nil {
		q.head = s
	} else {
		q.tail.nextWork = s
	}
	q.tail = s
	q.n++
}

func (q *workList) pop() *Sock {
	s := q.head
	q.head = s.nextWork
	if q.head == nil {
		q.tail = nil
	}
	s.queued, s.nextWork = false, nil
	q.n--
	return s
}
