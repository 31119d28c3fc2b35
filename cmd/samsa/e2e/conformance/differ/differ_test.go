// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// exchange is one question that both brokers are asked, in every version from
// from to to that Samsa serves.
type exchange struct {
	name     string
	from, to int16
	ask      func(s *side, v int16) kmsg.Request // nil, or what it gives: nothing is asked
	then     func(s *side, resp kmsg.Response)   // notes what later questions need; may be nil
	until    func(resp kmsg.Response) bool       // it is asked again until it gives true; may be nil
	tamper   func(frame []byte) []byte           // changes the request's bytes; may be nil
	on       string                              // the connection, when it is not the usual one
	patience time.Duration                       // with which an answer is waited for; 0: long
	later    bool                                // the answer is taken by a later exchange on the same connection
	take     bool                                // takes the answer of the exchange before it that said later
}

// side is one of the two brokers, and what it called things.
type side struct {
	e2e.Known
	t        testing.TB
	conns    map[string]*e2e.Raw
	waiting  map[string]kmsg.Request // sent with later
	members  map[string]string       // the id of each name
	session  map[string]int32        // of fetch sessions
	asked    map[[2]int16]*tally
	recorder *recorder // nil: nothing is recorded
	name     string    // of the exchange under way
}

// tally counts the answers of one version of an API: those without an error,
// and those with one.
type tally struct{ good, bad int }

// conn is the connection of that name.
func (s *side) conn(name string) *e2e.Raw {
	if s.conns[name] == nil {
		s.conns[name] = e2e.Dial(s.t, s.Addr)
	}
	return s.conns[name]
}

// answer asks and gives the normalised answer as lines; nil when nothing was asked.
func (s *side) answer(x *exchange, v int16) []string {
	var req kmsg.Request
	if x.take {
		req = s.waiting[x.on]
	} else if x.ask != nil {
		req = x.ask(s, v)
	}
	if req == nil {
		return nil
	}
	if r, served := s.Serves[req.Key()]; !x.take && (!served || v < r[0] || v > r[1]) {
		return nil
	}
	raw := s.conn(x.on)
	if !x.take {
		req.SetVersion(v)
	}
	raw.ClientID, raw.Tamper = x.name, x.tamper
	s.name = x.name
	if x.later {
		s.waiting[x.on] = req
		if err := raw.Send(req); err != nil {
			return []string{"not sent: " + err.Error()}
		}
		return []string{"sent"}
	}
	resp, err := s.call(raw, req, x)
	if err != nil {
		delete(s.conns, x.on)
		switch {
		case errors.Is(err, errNoAnswer):
			return []string{"no answer"}
		case e2e.IsClosed(err):
			return []string{"closed"}
		}
		return []string{"undecodable: " + err.Error()}
	}
	if x.then != nil {
		x.then(s, resp)
	}
	lines := s.Lines(resp)
	if !strings.Contains(x.name, bodyOf) {
		good := s.count(req, lines)
		if !x.take && x.until == nil {
			s.recorder.answered(req, x.name, good)
		}
	}
	return lines
}

// count notes, and tells, whether the answer had no error in it.
func (s *side) count(req kmsg.Request, lines []string) (good bool) {
	at := [2]int16{req.Key(), req.GetVersion()}
	if s.asked[at] == nil {
		s.asked[at] = &tally{}
	}
	for _, line := range lines {
		if strings.Contains(line, "ErrorCode=") && !strings.HasSuffix(line, "ErrorCode=0") {
			s.asked[at].bad++
			return false
		}
	}
	s.asked[at].good++
	return true
}

// errNoAnswer: long after the question there is none.
var errNoAnswer = errors.New("no answer")

// call is Raw.Call with less patience, and again until the exchange is content.
func (s *side) call(raw *e2e.Raw, req kmsg.Request, x *exchange) (kmsg.Response, error) {
	type answer struct {
		resp kmsg.Response
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		for {
			var a answer
			if x.take {
				a.resp, a.err = raw.Receive(req)
			} else {
				a.resp, a.err = raw.Call(req)
			}
			if a.err != nil || x.until == nil || x.until(a.resp) {
				done <- a
				return
			}
		}
	}()
	select {
	case a := <-done:
		return a.resp, a.err
	case <-time.After(cmp.Or(x.patience, 15*time.Second)):
		return nil, errNoAnswer
	}
}

// accepted is a difference that is meant.
type accepted struct {
	where  *regexp.Regexp // over "exchange vN path"
	reason string
	used   bool
}

// differ asks both everything and reports what is not accepted.
func differ(t *testing.T, ours, kafka *side, script []exchange, known []accepted) {
	t.Helper()
	for i := range script {
		x := &script[i]
		for v := x.from; v <= x.to; v++ {
			begun := time.Now()
			a := ours.answer(x, v)
			between := time.Now()
			b := kafka.answer(x, v)
			if d, e := between.Sub(begun), time.Since(between); d > 2*time.Second || e > 2*time.Second {
				t.Logf("%s v%d took %v here, %v there", x.name, v, d, e)
			}
			for _, d := range e2e.Diff(a, b) {
				where := fmt.Sprintf("%s v%d %s", x.name, v, d)
				if !excused(known, where) {
					t.Errorf("%s", where)
				}
			}
		}
	}
}

// unused reports what is on the list for nothing.
func unused(t *testing.T, known []accepted) {
	for i := range known {
		if !known[i].used {
			t.Errorf("the accepted difference %q was not met: take it off the list", known[i].where)
		}
	}
}

func excused(known []accepted, where string) bool {
	for i := range known {
		if known[i].where.MatchString(where) {
			known[i].used = true
			return true
		}
	}
	return false
}
