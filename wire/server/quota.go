// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"sync"
	"time"
)

// ListenerLimits are a listener's own; zero fields take the broker's.
type ListenerLimits struct{ Connections, CreationRate int }

// fillConnections makes every limit of connections a number to compare with.
func (l *Limits) fillConnections() {
	for _, p := range []*int{&l.Connections, &l.ConnectionsPerIP, &l.CreationRate} {
		*p = limit(*p, math.MaxInt32)
	}
	l.PerIP = maps.Clone(l.PerIP)
	own := map[string]ListenerLimits{}
	for name, o := range l.Listeners {
		own[name] = ListenerLimits{limit(o.Connections, l.Connections), limit(o.CreationRate, l.CreationRate)}
	}
	l.Listeners = own
}

// limit is n, or zero's for 0, and 0 for none.
func limit(n, zero int) int {
	if n == 0 {
		return zero
	}
	return max(n, 0)
}

// quotas count connections, as Kafka's ConnectionQuotas does: a listener that
// may not let its next connection in stops accepting and waits until it may.
type quotas struct {
	mu          sync.Mutex
	limits      Limits
	protected   string // the listener that others make room for
	descriptors int    // connections the process has descriptors for
	conns       int
	leaving     int // of those, being pushed out
	listeners   int
	rate        rate
	waiting     []*listener // for a place
}

// listenerCount is a listener's part of the quotas; their mutex covers it.
type listenerCount struct {
	conns int
	rate  rate
}

// of gives a listener's limits.
func (q *quotas) of(name string) ListenerLimits {
	if own, ok := q.limits.Listeners[name]; ok {
		return own
	}
	return ListenerLimits{q.limits.Connections, q.limits.CreationRate}
}

// privileged: other listeners' connections make room for this one's.
func (q *quotas) privileged(name string) bool { return name == q.protected && q.listeners > 1 }

// throttle counts a newcomer and tells how long it has to wait for the rate of
// its listener, and of the broker, to come down.
func (q *quotas) throttle(l *listener, now int64) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	wait := l.count.rate.record(now, q.of(l.name).CreationRate)
	if !q.privileged(l.name) {
		wait = max(wait, q.rate.record(now, q.limits.CreationRate))
	}
	return wait
}

// take counts a connection in. When it has to wait, why says so, and l's wake
// is posted once somebody has left.
func (q *quotas) take(l *listener) (why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch own := q.of(l.name).Connections; {
	case q.conns >= q.descriptors:
		why = fmt.Errorf("%w: the process may open no more descriptors; raise its RLIMIT_NOFILE", ErrTooMany)
	case l.count.conns >= own && own != q.limits.Connections:
		why = fmt.Errorf("%w: listener.name.%s.max.connections is %d", ErrTooMany, lower(l.name), own)
	case l.count.conns >= own, !q.privileged(l.name) && q.conns >= q.limits.Connections:
		why = fmt.Errorf("%w: max.connections is %d", ErrTooMany, q.limits.Connections)
	}
	if why != nil {
		q.waiting = append(q.waiting, l)
		return why
	}
	q.conns++
	l.count.conns++
	return nil
}

// nearTo: with fewer places left a listener takes one connection at a time from
// the kernel: what it must hold back would cost descriptors that others need.
const nearTo = 256

// near tells whether l may soon have to wait.
func (q *quotas) near(l *listener) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	own := q.of(l.name)
	left := min(q.descriptors-q.conns, q.limits.Connections-q.conns, own.Connections-l.count.conns)
	return left < nearTo || min(own.CreationRate, q.limits.CreationRate) < math.MaxInt32
}

// give counts a connection out and wakes who waits for its place.
func (q *quotas) give(l *listener, pushedOut bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.conns--
	l.count.conns--
	if pushedOut {
		q.leaving--
	}
	q.wake()
}

// wake lets every listener that waits look again.
func (q *quotas) wake() {
	for _, l := range q.waiting {
		l.home.loop.Post(&l.wake)
	}
	clear(q.waiting)
	q.waiting = q.waiting[:0]
}

// perIP is how many connections addr may have.
func (q *quotas) perIP(addr netip.Addr) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n, own := q.limits.PerIP[addr]; own {
		return n
	}
	return q.limits.ConnectionsPerIP
}

// excess is how many connections are to be pushed out. Who takes one on
// (claim) has to close it.
func (q *quotas) excess(claim int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := max(0, q.conns-q.leaving-q.limits.Connections)
	q.leaving += min(n, claim)
	return n
}

// SetLimits changes, while the server runs, what Kafka lets change: Connections,
// ConnectionsPerIP, PerIP, CreationRate and Listeners. The rest of l is not
// looked at. Listeners that wait look again, and connections above Connections
// are closed, the longest idle first. Any goroutine may call it.
func (s *Server) SetLimits(l Limits) {
	l.fillConnections()
	s.quotas.mu.Lock()
	s.quotas.limits = l
	s.quotas.wake()
	s.quotas.mu.Unlock()
	s.shed()
}

// Connections is how many connections there are.
func (s *Server) Connections() int {
	s.quotas.mu.Lock()
	defer s.quotas.mu.Unlock()
	return s.quotas.conns
}

// shed closes connections above max.connections, the longest idle of a lane
// first, but for those of the protected listener. Kafka's processors do the
// same, each for itself.
func (s *Server) shed() {
	if s.quotas.excess(0) > 0 {
		first := int(s.next.Add(1)-1) % len(s.lanes)
		s.lanes[first].loop.Post(&shedding{s, first, len(s.lanes)})
	}
}

// shedding goes from lane to lane until there is nothing above the limit.
type shedding struct {
	server     *Server
	lane, left int
}

// Run implements netpoll.Message.
func (m *shedding) Run() {
	s := m.server
	c := s.lanes[m.lane].conns.head
	for ; c != nil && s.quotas.excess(0) > 0; c = s.lanes[m.lane].evict(c) {
	}
	if m.left--; m.left > 0 && s.quotas.excess(0) > 0 {
		m.lane = (m.lane + 1) % len(s.lanes)
		s.lanes[m.lane].loop.Post(m)
	}
}

// evict closes c if that makes room, and returns the one after it.
func (l *lane) evict(c *conn) (next *conn) {
	next = c.next
	s := l.server
	s.quotas.mu.Lock()
	spared := s.quotas.privileged(c.home.name)
	s.quotas.mu.Unlock()
	if c.dead || spared || s.quotas.excess(1) == 0 {
		return next
	}
	c.pushedOut = true
	c.warn(kindLimit, fmt.Errorf("%w: the one idle longest makes room", ErrTooMany))
	return next
}

// rate counts events by the second as Kafka's Rate of a WindowedSum does, so
// that max.connection.creation.rate lets the same bursts through: the rate is
// that of the last windows (quota.window.num) of one length each
// (quota.window.size.seconds), windows without events included.
type rate struct {
	windows int
	window  int64 // ns
	samples []rateSample
	current int
}

// rateSample is one window. It begins with the first event after the one
// before it was over, not at a fixed time.
type rateSample struct{ start, last, events int64 }

func newRate(windows int, window time.Duration) rate {
	return rate{windows: windows, window: int64(window), samples: make([]rateSample, 0, windows+1)}
}

// record counts an event and returns how long to wait for the rate to come
// down to limit a second, one window at most.
func (r *rate) record(now int64, limit int) time.Duration {
	r.add(now)
	events, elapsed := r.measure(now)
	over := float64(events)*float64(time.Second)/float64(elapsed) - float64(limit)
	if over <= 0 {
		return 0
	}
	wait := math.Round(over/float64(limit)*float64(elapsed)/1e6) * 1e6 // in whole milliseconds; no limit above 0: for ever
	return time.Duration(min(wait, float64(r.window)))
}

// add puts an event into the current window.
func (r *rate) add(now int64) {
	switch n := len(r.samples); {
	case n == 0:
		r.samples = append(r.samples, rateSample{start: now})
	case now-r.samples[r.current].start >= r.window:
		if r.current = (r.current + 1) % (r.windows + 1); r.current == n {
			r.samples = append(r.samples, rateSample{})
		}
		r.samples[r.current] = rateSample{start: now}
	}
	s := &r.samples[r.current]
	s.events++
	s.last = now
}

// measure is how many events there were and in how long; a time that is not
// over yet counts as if nothing had come in it.
func (r *rate) measure(now int64) (events, elapsed int64) {
	oldest := now
	for i := range r.samples {
		s := &r.samples[i]
		if now-s.last >= int64(r.windows)*r.window {
			*s = rateSample{start: now, last: now}
		}
		events += s.events
		oldest = min(oldest, s.start)
	}
	elapsed = now - oldest
	if full, least := elapsed/r.window, int64(r.windows-1); full < least {
		elapsed += (least - full) * r.window
	}
	return events, max(elapsed, int64(time.Millisecond))
}
