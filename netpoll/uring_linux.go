// SPDX-License-Identifier: Apache-2.0

//go:build giouring

package netpoll

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/samsa-broker/samsa/netpoll/ring"
)

const (
	uringSubmissions = 2048
	uringCompletions = 16384
	uringGroup       = 0 // the one buffer group
)

// What a completion is about: the top byte of its user data. Below it come 24
// bits of generation and 32 bits of slot.
const (
	aboutOp uint64 = (iota + 1) << 56
	aboutWake
	aboutTimer
	aboutNothing
)

// uringLoop asks the kernel for completions. Everything submitted in a turn goes
// in one call, which also waits.
type uringLoop struct {
	core
	uringQueue
	buffers *ring.Buffers
	arena   *arena
	lent    int  // buffers that callers hold
	idle    bool // the last wait was long: wait like everybody else

	ends    ends
	starved opList   // receives that found no buffer
	work    workList // sockets whose SendFile goes on this turn
	budget  int      // bytes that SendFile may still move this turn
	scratch []byte   // bytes of a FileAt on their way
}

// uringQueue is the way to the kernel: the ring, and the names under which
// operations are known there.
type uringQueue struct {
	ring    *ring.Ring
	wakeFd  int
	timerAt int64         // when the kernel's timer fires; 0: not armed
	timer   unix.Timespec // what it is armed with; the kernel copies it when it is submitted

	slots []uringSlot
	free  []uint32
	early []ring.CQE // taken from a full completion queue before their time
}

// uringSlot names an operation towards the kernel. A slot is reused under
// another generation, so a completion that comes late finds nobody.
type uringSlot struct {
	op  *Op
	gen uint32
}

func openUring(o Options) (Loop, *Refusal) {
	l := &uringLoop{uringQueue: uringQueue{wakeFd: -1}, idle: true}
	l.init("uring", o, l)
	l.locks = true
	l.files = newWorkers(&l.core)
	l.ends.timer.Fire = func(*Timer) { l.ends.look(l) }
	if no := l.open(); no != nil {
		l.destroy()
		return nil, no
	}
	return l, nil
}

func (l *uringLoop) open() *Refusal {
	if no := uringForbidden(); no != nil {
		return no
	}
	var err error
	if l.ring, err = ring.New(uringSubmissions, uringCompletions); err != nil {
		return uringRefusal(err)
	}
	if err = l.ring.Require(ring.OpPollAdd, ring.OpSendmsg, ring.OpTimeout, ring.OpTimeoutRemove, ring.OpAccept,
		ring.OpAsyncCancel, ring.OpRead, ring.OpWrite, ring.OpSend, ring.OpRecv); err != nil {
		return uringRefusal(err)
	}
	if l.arena, err = newArena(l.opts.RecvBuffers, false); err != nil {
		return uringRefusal(err)
	}
	if l.buffers, err = l.ring.NewBuffers(uringGroup, l.opts.RecvBuffers); err != nil {
		return uringRefusal(err)
	}
	for i := range l.opts.RecvBuffers {
		l.buffers.Add(uint16(i), l.arena.at(uint32(i)))
	}
	if l.wakeFd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return uringRefusal(err)
	}
	return nil
}

// prepare makes this thread the ring's owner.
func (l *uringLoop) prepare() error {
	if err := l.ring.Start(); err != nil {
		return err
	}
	if err := l.ring.LimitWorkers(uint32(l.opts.Workers), uint32(l.opts.Workers)); err != nil {
		return err
	}
	l.watchWake()
	return nil
}

func (l *uringLoop) destroy() {
	l.files.close()
	if l.ring != nil {
		l.ring.Close()
	}
	if l.wakeFd >= 0 {
		unix.Close(l.wakeFd)
	}
	if l.outstanding() > 0 {
		return // the kernel may yet write into our memory: leave it to the process
	}
	if l.buffers != nil {
		l.buffers.Close()
	}
	if l.arena != nil {
		l.arena.close()
	}
}

func (l *uringLoop) outstanding() int { return len(l.slots) - len(l.free) + l.files.running }

func (l *uringLoop) wake() {
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(l.wakeFd), uintptr(unsafe.Pointer(&one)), 8)
}

// watchWake asks for a completion at each write to the wake-up descriptor. The
// poll reports the writes themselves, so nobody reads the count.
func (q *uringQueue) watchWake() {
	e := q.entry()
	e.OpCode, e.Fd, e.OpcodeFlags, e.Len = ring.OpPollAdd, int32(q.wakeFd), unix.EPOLLIN, ring.PollMultishot
	e.UserData = aboutWake
}

// entry is a zeroed submission entry. When the queue is full it is submitted
// first; completions that would stand in the way of that are set aside.
func (q *uringQueue) entry() *ring.SQE {
	for range 1000 {
		if e := q.ring.Next(); e != nil {
			return e
		}
		for q.ring.Ready() > 0 {
			q.early = append(q.early, q.ring.Take())
		}
		q.entered(q.ring.Enter(0, true))
	}
	panic("FATAL: netpoll: the kernel takes no submissions")
}

// entered looks at how a call to the kernel ended. A signal, or no room for a
// moment, is as good as a wake-up; anything else is our mistake.
func (q *uringQueue) entered(e syscall.Errno) {
	switch e {
	case 0, unix.EINTR, unix.EAGAIN, unix.EBUSY, unix.ETIME, unix.ENOMEM:
	default:
		panic(fmt.Sprintf("BUG: netpoll: io_uring_enter: %v", e))
	}
}

// wait submits the turn's entries and reaps. While traffic is dense it blocks in
// a raw system call, which keeps this thread's processor; the scheduler's signal
// ends such a wait after 10 ms, and then the loop is idle and waits like
// everybody else, until wake-ups come less than a millisecond apart.
func (l *uringLoop) wait(block bool) {
	switch {
	case !block || len(l.early) > 0:
		l.entered(l.ring.Enter(0, true))
	case !l.idle && l.dense:
		l.armKernelTimer(l.wheel.due())
		l.entered(l.ring.Enter(1, true))
		l.idle = l.ring.Ready() == 0
	default:
		l.armKernelTimer(l.wheel.due())
		before := monotonic()
		l.entered(l.ring.Enter(1, false))
		l.idle = l.ring.Ready() == 0 || monotonic()-before >= 1e6
	}
	early := len(l.early)
	for i := range early {
		l.completed(l.early[i])
	}
	l.early = append(l.early[:0], l.early[early:]...) // answering them may have set more aside
	for n := l.ring.Ready(); n > 0 && l.ring.Ready() > 0; n-- {
		l.completed(l.ring.Take())
	}
}

// armKernelTimer sets the kernel's timer if something is due before it fires.
// One that fires too early, because its timer was disarmed, only costs a turn.
func (q *uringQueue) armKernelTimer(due int64, any bool) {
	if !any || (q.timerAt != 0 && q.timerAt <= due) {
		return
	}
	q.timer = unix.NsecToTimespec(max(due-monotonic(), 1))
	e := q.entry()
	if q.timerAt == 0 {
		e.OpCode, e.Fd, e.Len, e.UserData = ring.OpTimeout, -1, 1, aboutTimer
		e.Addr = uint64(uintptr(unsafe.Pointer(&q.timer)))
	} else {
		e.OpCode, e.Fd, e.OpcodeFlags, e.UserData = ring.OpTimeoutRemove, -1, ring.TimeoutUpdate, aboutNothing
		e.Addr = aboutTimer
		e.Off = uint64(uintptr(unsafe.Pointer(&q.timer)))
	}
	q.timerAt = due
}

// completed finds out what a completion is about.
func (l *uringLoop) completed(c ring.CQE) {
	switch c.UserData & (0xff << 56) {
	case aboutWake:
		if c.Flags&ring.DoneMore == 0 && !l.ending {
			l.watchWake()
		}
	case aboutTimer:
		l.timerAt = 0
	case aboutOp:
		slot, gen := uint32(c.UserData), uint32(c.UserData>>32)&0xffffff
		if int(slot) >= len(l.slots) || l.slots[slot].gen != gen || l.slots[slot].op == nil {
			l.dropped(c)
			return
		}
		op := l.slots[slot].op
		if c.Flags&ring.DoneMore == 0 {
			op.parts--
		}
		l.advance(op, c)
	}
}

// dropped gives back what a completion for nobody brought.
func (l *uringLoop) dropped(c ring.CQE) {
	if c.Flags&ring.DoneBuffer != 0 {
		id := c.Flags >> ring.DoneBufferShift
		l.buffers.Add(uint16(id), l.arena.at(id))
	}
	if l.opts.Events.Dropped != nil {
		l.opts.Events.Dropped(c.UserData)
	}
}

// enlist gives op a slot until vacate.
func (q *uringQueue) enlist(op *Op) {
	if n := len(q.free); n > 0 {
		op.slot = q.free[n-1]
		q.free = q.free[:n-1]
		q.slots[op.slot].op = op
		return
	}
	op.slot = uint32(len(q.slots))
	q.slots = append(q.slots, uringSlot{op: op})
}

func (q *uringQueue) vacate(op *Op) {
	s := &q.slots[op.slot]
	s.op = nil
	s.gen = (s.gen + 1) & 0xffffff
	q.free = append(q.free, op.slot)
}

// ask is a submission entry in the name of op.
func (q *uringQueue) ask(op *Op, opcode uint8, fd int32) *ring.SQE {
	e := q.entry()
	e.OpCode, e.Fd = opcode, fd
	e.UserData = aboutOp | uint64(q.slots[op.slot].gen)<<32 | uint64(op.slot)
	op.parts++
	return e
}

// withdraw asks the kernel to end what it does for op.
func (q *uringQueue) withdraw(op *Op) {
	e := q.entry()
	e.OpCode, e.Fd, e.UserData = ring.OpAsyncCancel, -1, aboutNothing
	e.Addr = aboutOp | uint64(q.slots[op.slot].gen)<<32 | uint64(op.slot)
}

// turn lets sendfile move its bytes and re-arms receives that found no buffer.
func (l *uringLoop) turn() (again bool) {
	l.budget = l.opts.TurnBytes
	for n := l.work.n; n > 0; n-- {
		s := l.work.pop()
		if op := s.sends.head; op != nil && op.Kind == SendFile && op.state == opActive && op.parts == 0 {
			l.sendFile(s, op)
		}
	}
	for n := min(l.starved.n, l.opts.RecvBuffers-l.lent); n > 0; n-- {
		l.receive(l.starved.pop())
	}
	return l.work.n > 0
}

// recycle gives a buffer back to the kernel.
func (l *uringLoop) recycle(b Buf) {
	i := l.arena.back(b)
	l.lent--
	l.buffers.Add(uint16(i), l.arena.at(i))
}

// ends looks for peers whose end the kernel does not tell. Wake-ups of a
// multishot receive that come before its thread runs are one to the kernel: where
// the first was for bytes and the second for the peer's end, or its reset, it
// brings the bytes and sleeps on (seen on Linux 6.18). So a receive that brought
// bytes and then none for a second or two is looked after, once.
type ends struct {
	first, last *Sock
	timer       Timer
	polled      [endsAtOnce]unix.PollFd
	asked       [endsAtOnce]*Sock
	none        unix.Timespec // to wait
}

const (
	// endsPause is the time between two rounds.
	endsPause = time.Second
	// endsAtOnce is how many sockets one call looks after.
	endsAtOnce = 64
	// endsMore is the pause where more than that are due.
	endsMore = 5 * time.Millisecond
)

// heard notes that a receive of s brought bytes and goes on.
func (q *ends) heard(l *uringLoop, s *Sock) {
	s.fresh = true
	if s.watched {
		return
	}
	q.push(s)
	if !q.timer.Armed() && !l.ending {
		l.Arm(&q.timer, endsPause)
	}
}

func (q *ends) push(s *Sock) {
	s.watched, s.nextQuiet = true, nil
	if q.last == nil {
		q.first = s
	} else {
		q.last.nextQuiet = s
	}
	q.last = s
}

func (q *ends) pop() *Sock {
	s := q.first
	if q.first = s.nextQuiet; q.first == nil {
		q.last = nil
	}
	s.watched, s.nextQuiet = false, nil
	return s
}

// look is a round: who was heard since the last one stays, of the others
// the kernel is asked, and then no more until they are heard again.
func (q *ends) look(l *uringLoop) {
	n, pause := 0, endsPause
	for end := q.last; q.first != nil; {
		s := q.pop()
		if s.closed || s.closeOp != nil || s.recv == nil { // nobody listens, or will hear
			if s == end {
				break
			}
			continue
		}
		if s.fresh {
			s.fresh = false
			q.push(s)
		} else {
			q.polled[n], q.asked[n] = unix.PollFd{Fd: int32(s.fd), Events: unix.POLLRDHUP}, s
			n++
		}
		if s == end {
			break
		}
		if n == endsAtOnce {
			pause = endsMore
			break
		}
	}
	q.ask(l, n)
	if q.first != nil && !l.ending {
		l.Arm(&q.timer, pause)
	}
}

// ask has the receives of n sockets begun anew where the peer is gone.
func (q *ends) ask(l *uringLoop, n int) {
	if n == 0 {
		return
	}
	got, err := unix.Ppoll(q.polled[:n], &q.none, nil)
	for i := range n {
		s := q.asked[i]
		q.asked[i] = nil
		if err == nil && got > 0 && q.polled[i].Revents != 0 && s.recv.Kind == Recv && s.recv.parts > 0 && s.recv.stop == nil {
			l.withdraw(s.recv)
		}
	}
}
