// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"math/bits"
	"time"
)

// Timer is a moment at which Fire runs on the loop. It is the caller's memory:
// arming costs no allocation. The zero value with Fire set is ready.
type Timer struct {
	Fire func(*Timer)

	tick       int64 // when, in ticks of the wheel
	prev, next *Timer
	list       *timerList // nil: not armed
	level      uint8      // firing when wheelLevels
	slot       uint8
}

// Armed says whether the timer waits to fire.
func (t *Timer) Armed() bool { return t.list != nil }

type timerList struct{ head, tail *Timer }

func (l *timerList) push(t *Timer) {
	t.list, t.prev, t.next = l, l.tail, nil
	if l.tail == nil {
		l.head = t
	} else {
		l.tail.next = t
	}
	l.tail = t
}

func (l *timerList) remove(t *Timer) {
	if t.prev == nil {
		l.head = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.tail = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.prev, t.next, t.list = nil, nil, nil
}

const (
	wheelTick   = int64(time.Millisecond)
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 5 // 2^30 ms: twelve days; what lies further is filed at the rim again and again
	wheelSpan   = int64(1) << (wheelBits * wheelLevels)
	noTick      = int64(1<<63 - 1)
)

// wheel files timers by how far away they are: level n has 64 slots of 64^n
// milliseconds. A timer of a higher level moves down when its slot is reached,
// so arming and disarming are constant time and the lowest level that holds
// anything holds what is due first.
type wheel struct {
	elapsed  int64 // every tick up to here has fired
	next     int64 // no slot is due before; noTick when empty
	count    int
	occupied [wheelLevels]uint64
	slots    [wheelLevels][wheelSlots]timerList
	firing   timerList
}

// arm files t to fire at the first tick at or after at (nanoseconds).
func (w *wheel) arm(t *Timer, now, at int64) {
	w.disarm(t)
	if w.count == 0 {
		w.elapsed, w.next = now/wheelTick, noTick
	}
	t.tick = (at + wheelTick - 1) / wheelTick
	w.count++
	w.file(t)
}

// disarm takes t out.
func (w *wheel) disarm(t *Timer) {
	if t.list == nil {
		return
	}
	t.list.remove(t)
	if t.level < wheelLevels && w.slots[t.level][t.slot].head == nil {
		w.occupied[t.level] &^= 1 << t.slot
	}
	w.count--
	if w.count == 0 {
		w.next = noTick
	}
}

// file puts t into the slot for its tick.
func (w *wheel) file(t *Timer) {
	when := max(t.tick, w.elapsed+1)
	when = min(when, w.elapsed+wheelSpan-1)
	level := uint8(0)
	if masked := uint64(when ^ w.elapsed); masked >= wheelSlots {
		level = uint8((63 - bits.LeadingZeros64(masked)) / wheelBits)
		level = min(level, wheelLevels-1)
	}
	shift := uint(level) * wheelBits
	t.level, t.slot = level, uint8(when>>shift)&(wheelSlots-1)
	w.slots[level][t.slot].push(t)
	w.occupied[level] |= 1 << t.slot
	// Where the slot begins is when it must be looked at.
	w.next = min(w.next, max(when>>shift<<shift, w.elapsed+1))
}

// soonest finds the slot that is due first and the tick it begins at.
func (w *wheel) soonest() (level int, slot uint8, tick int64) {
	for level = range wheelLevels {
		occ := w.occupied[level]
		if occ == 0 {
			continue
		}
		shift := uint(level) * wheelBits
		at := uint(w.elapsed>>shift) & (wheelSlots - 1)
		// What stands in the present slot of the rim comes when it has gone round,
		// after all others; lower levels have nothing in their present slots.
		ahead := 1 + bits.TrailingZeros64(bits.RotateLeft64(occ, -int(at)-1))
		slot = uint8(at+uint(ahead)) & (wheelSlots - 1)
		return level, slot, (w.elapsed>>shift + int64(ahead)) << shift
	}
	return 0, 0, noTick
}

// due is the time in nanoseconds at which advance has something to do.
func (w *wheel) due() (at int64, any bool) {
	if w.next == noTick {
		return 0, false
	}
	return w.next * wheelTick, true
}

// advance fires, in order, what is due at now (nanoseconds), and says how many.
// Fire may arm and disarm any timer.
func (w *wheel) advance(now int64) (fired int) {
	tick := now / wheelTick
	for w.next <= tick {
		level, slot, at := w.soonest()
		if at > tick {
			w.next = at
			break
		}
		w.elapsed = max(at, w.elapsed)
		l := &w.slots[level][slot]
		w.occupied[level] &^= 1 << slot
		for t := l.head; t != nil; t = l.head {
			l.remove(t)
			if t.tick > w.elapsed {
				w.file(t)
				continue
			}
			t.level = wheelLevels
			w.firing.push(t)
		}
		_, _, w.next = w.soonest()
		for t := w.firing.head; t != nil; t = w.firing.head {
			w.firing.remove(t)
			w.count--
			fired++
			t.Fire(t)
		}
	}
	if w.count == 0 {
		w.next = noTick
	}
	return fired
}
