// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/wire/api"
)

// Why connections end, beside what netpoll reports; wrapped with operands.
var (
	// ErrProtocol: the peer does not speak Kafka, or not this version of it.
	ErrProtocol = errors.New("server: not a Kafka request")
	// ErrTooLarge: a frame is above its limit.
	ErrTooLarge = errors.New("server: frame too large")
	// ErrTooMany: a connection limit is reached.
	ErrTooMany = errors.New("server: too many connections")
	// ErrIdle: nothing moved for connections.max.idle.ms.
	ErrIdle = errors.New("server: idle")
	// ErrTooSlow: a large frame did not move while others waited for its memory.
	ErrTooSlow = errors.New("server: frame arrives too slowly")
	// ErrClosed: the server is closing.
	ErrClosed = errors.New("server: closed")
	// ErrOptions: New was given options that cannot work.
	ErrOptions = errors.New("server: bad options")
)

// Options say how to build a Server. Loops and Handlers are required.
type Options struct {
	Loops    []netpoll.Loop
	Handlers []api.Handler
	// Pool runs f on a goroutine of a bounded pool; it must not block. Nil
	// starts a goroutine each time.
	Pool   func(f func())
	Limits Limits
	Events Events
}

// Limits bound what peers can make the server hold. Zero fields take the
// default named.
type Limits struct {
	// FrameBytes is socket.request.max.bytes (100 MiB).
	FrameBytes int
	// ControlFrameBytes bounds frames that are decoded into objects
	// (samsa.max.control.frame.bytes; 1 MiB + 64 KiB).
	ControlFrameBytes int
	// ConnBytes bounds the small frames a connection may have in line (256 KiB).
	ConnBytes int
	// ConnRequests bounds the requests a connection may have in line (128).
	ConnRequests int
	// UnsentBytes: while more reply bytes wait for a slow reader, none of its
	// requests starts (256 KiB).
	UnsentBytes int
	// TotalBytes is the budget for large frames of the whole broker (256 MiB);
	// one address may use a quarter of it.
	TotalBytes int64
	// ControlBytes is the budget for the worst case of decoding (128 MiB).
	ControlBytes int64
	// Connections is max.connections (no limit; negative: none). Above it
	// newcomers wait to be accepted; those on the protected listener push out
	// whoever has been idle longest.
	Connections int
	// ConnectionsPerIP is max.connections.per.ip (no limit; negative: none but
	// from the addresses of PerIP). Above it newcomers are closed.
	ConnectionsPerIP int
	// PerIP is max.connections.per.ip.overrides: what single addresses may have
	// instead.
	PerIP map[netip.Addr]int
	// CreationRate is max.connection.creation.rate, in connections a second (no
	// limit; negative: none). Above it newcomers wait.
	CreationRate int
	// Listeners is what listener.name.NAME.* says, by the listener's name.
	Listeners map[string]ListenerLimits
	// Protected names the listener of the other brokers (inter.broker.listener.name):
	// where there are several listeners, max.connections does not keep it from
	// accepting.
	Protected string
	// Descriptors is how many connections the process has descriptors for (no limit).
	Descriptors int
	// RateWindows and RateWindow are quota.window.num and
	// quota.window.size.seconds (11, 1 s): over how long a rate is taken.
	RateWindows int
	RateWindow  time.Duration
	// Idle is connections.max.idle.ms (10 minutes; negative: never).
	Idle time.Duration
	// LentBuffers is how many receive buffers of a loop may be held by frames
	// in line before further frames are copied out of them (512).
	LentBuffers int
	// ColdReads is how many reads of uncached file ranges a loop may have
	// under way (16).
	ColdReads int
}

func (l *Limits) fill() {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&l.FrameBytes, 100<<20)
	def(&l.ControlFrameBytes, 1<<20+64<<10)
	def(&l.ConnBytes, 256<<10)
	def(&l.ConnRequests, 128)
	def(&l.UnsentBytes, 256<<10)
	def(&l.Descriptors, 1<<31-1)
	def(&l.RateWindows, 11)
	l.fillConnections()
	if l.RateWindow <= 0 {
		l.RateWindow = time.Second
	}
	def(&l.LentBuffers, 512)
	def(&l.ColdReads, 16)
	if l.TotalBytes <= 0 {
		l.TotalBytes = 256 << 20
	}
	if l.ControlBytes <= 0 {
		l.ControlBytes = 128 << 20
	}
	if l.Idle == 0 {
		l.Idle = 10 * time.Minute
	}
}

// Server serves connections on the loops it was given. It does not run them.
type Server struct {
	limits   Limits
	events   Events
	pool     func(f func())
	handlers [maxKeys]*api.Handler
	shapes   shapes
	lanes    []*lane
	frames   *budget
	control  *controlBudget
	quotas   quotas
	lines    lines

	mu        sync.Mutex
	listeners []*listener
	draining  atomic.Bool
	next      atomic.Uint32 // lane for the next connection
}

// maxKeys is above every API key there is.
const maxKeys = 128

// New builds a server. Its loops may be running already or be run later.
func New(o Options) (*Server, error) {
	if len(o.Loops) == 0 {
		return nil, fmt.Errorf("%w: no loops", ErrOptions)
	}
	o.Limits.fill()
	s := &Server{limits: o.Limits, events: o.Events, pool: o.Pool}
	if s.pool == nil {
		s.pool = func(f func()) { go f() }
	}
	for i := range o.Handlers {
		h := &o.Handlers[i]
		if h.Key < 0 || h.Key >= maxKeys || s.handlers[h.Key] != nil || h.Serve == nil || h.Min > h.Max {
			return nil, fmt.Errorf("%w: handler of key %d", ErrOptions, h.Key)
		}
		s.handlers[h.Key] = h
		if err := s.shapes.learn(h); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	s.frames = newBudget(s.limits.TotalBytes)
	s.quotas.limits, s.quotas.protected, s.quotas.descriptors = s.limits, s.limits.Protected, s.limits.Descriptors
	s.quotas.rate = newRate(s.limits.RateWindows, s.limits.RateWindow)
	s.control = &controlBudget{limit: s.limits.ControlBytes}
	for _, l := range o.Loops {
		s.lanes = append(s.lanes, newLane(s, l))
	}
	return s, nil
}

// Drain stops accepting and reading. Requests that have begun are answered,
// and each connection closes once its replies are out; what is left when ctx
// ends is closed then. It returns once no connection remains, with ctx's error
// if it had to force the end. The loops must be running.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = l.ln.Close() // a second Drain finds it closed; nothing to do about either
	}
	s.mu.Unlock()
	if err := s.each(ctx, func(l *lane) { l.drain() }); err == nil {
		if err = s.empty(ctx); err == nil {
			return nil
		}
	}
	forced := context.Cause(ctx)
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.each(rest, func(l *lane) { l.killAll(ErrClosed) }); err != nil {
		return fmt.Errorf("%w: a loop does not answer", ErrClosed)
	}
	if err := s.empty(rest); err != nil {
		return fmt.Errorf("%w: connections remain", ErrClosed)
	}
	return forced
}

// Close is Drain without patience.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// each runs f on every lane's loop and waits for all.
func (s *Server) each(ctx context.Context, f func(*lane)) error {
	done := make(chan struct{}, len(s.lanes))
	for _, l := range s.lanes {
		l.loop.Post(task(func() { f(l); done <- struct{}{} }))
	}
	for range s.lanes {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// empty waits until every lane has lost its last connection.
func (s *Server) empty(ctx context.Context) error {
	for _, l := range s.lanes {
		gone := make(chan struct{})
		l.loop.Post(task(func() { l.whenEmpty(gone) }))
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// task makes a function postable; for rare things only, as it allocates.
type task func()

// Run implements netpoll.Message.
func (t task) Run() { t() }
