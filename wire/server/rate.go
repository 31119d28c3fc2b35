// SPDX-License-Identifier: Apache-2.0

package server

import (
	"math"
	"time"
)

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
