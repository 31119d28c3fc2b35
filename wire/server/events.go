// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Events are told what happens; every func may be nil. They run on loops and
// must not block.
type Events struct {
	// Opened and Closed frame the life of a connection; why is nil when the
	// peer closed it.
	Opened func(listener string, remote netip.AddrPort)
	Closed func(listener string, remote netip.AddrPort, why error)
	// Refused is a connection turned away at once.
	Refused func(listener string, remote netip.AddrPort, why error)
	// Served is one finished request: its sizes on the wire, how long it stood
	// in line, and how long from its start to its reply being ready.
	Served func(s Served)
	// Warn gets one line a person should read; lines of a kind are at least
	// ten seconds apart and say how many were left out.
	Warn func(line string)
	// Waiting is how many large frames wait for memory, whenever it changes.
	Waiting func(n int)
	// Cold is a read of file bytes that were not in the page cache.
	Cold func(bytes int)
}

// Served describes a finished request; see Events.
type Served struct {
	Key, Version      int16
	InBytes, OutBytes int
	Queued, Took      time.Duration
}

func (e *Events) opened(l string, a netip.AddrPort) {
	if e.Opened != nil {
		e.Opened(l, a)
	}
}

func (e *Events) closed(l string, a netip.AddrPort, why error) {
	if e.Closed != nil {
		e.Closed(l, a, why)
	}
}

func (e *Events) refused(l string, a netip.AddrPort, why error) {
	if e.Refused != nil {
		e.Refused(l, a, why)
	}
}

// kind groups warning lines for rate limiting.
type kind uint8

const (
	kindAccept kind = iota
	kindLimit       // max.connections
	kindPerIP
	kindRate
	kindForeign // another protocol
	kindFrame   // sizes, headers, bodies
	kindVersion // unknown keys and versions
	kindAsked   // a handler closed the connection
	kinds
)

// linePause is the least time between two lines of one kind.
const linePause = 10 * time.Second

// lines rate-limits warnings. Many loops share it.
type lines struct {
	mu      sync.Mutex
	last    [kinds]time.Time
	skipped [kinds]int
}

// say passes text's line on unless one of its kind has just been said.
func (l *lines) say(s *Server, k kind, text func() string) {
	if s.events.Warn == nil {
		return
	}
	now := time.Now()
	l.mu.Lock()
	if !l.last[k].IsZero() && now.Sub(l.last[k]) < linePause {
		l.skipped[k]++
		l.mu.Unlock()
		return
	}
	skipped := l.skipped[k]
	l.last[k], l.skipped[k] = now, 0
	l.mu.Unlock()
	line := text()
	if skipped > 0 {
		line = fmt.Sprintf("%s (and %d more like it)", line, skipped)
	}
	s.events.Warn(line)
}
