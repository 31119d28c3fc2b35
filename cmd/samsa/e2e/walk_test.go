// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"maps"
	"regexp"
	"testing"
)

// walkProps are WalkProps with a bound that Kafka does not have.
func walkProps() map[string]string {
	props := maps.Clone(WalkProps)
	props["queued.max.request.bytes"] = "-1"
	props["samsa.max.control.frame.bytes"] = "70000"
	return props
}

// Every version of every API that the broker advertises is asked: with a valid
// body, with nothing in it, with nulls wherever a null may stand, with one empty
// element in each list, with bytes behind it, and with more than a frame may
// hold. Each is answered as a real Kafka answered it (testdata/walk), field by
// field but for ids, times and the words of messages, or the connection is
// closed where Kafka closed it. A control frame above our own bound closes it, too.
func TestEveryVersionOfEveryAPI(t *testing.T) {
	b := Start(t, Options{Props: walkProps()})
	w := NewWalk(t, b.Addr, Serves(t, b.Addr))
	heard := w.Bodies()
	if len(heard) < 1000 {
		t.Errorf("only %d bodies were asked", len(heard))
	}
	differences, err := w.Against(Captures(t), heard)
	if err != nil {
		t.Fatal(err)
	}
	report(t, differences, otherwise)
	w.each(func(key, version int16) {
		h := w.ask(Body(key, version, EmptyFields), "large", func(frame []byte) []byte { return append(frame, make([]byte, 70_000)...) })
		if hot := key == 0 || key == 1; (h.Instead == Closed) == hot {
			t.Errorf("%s above samsa.max.control.frame.bytes, which Produce and Fetch are exempt from: %s", &h, h.codes())
		}
	})
}

// Texts and bytes as long as they may be and longer, in every field of every
// version, client ids included, lists of many elements, and requests that end
// inside of either, meet the codes of a real Kafka (testdata/walk/limits.txt), or the end of the connection.
func TestEveryLengthOfEveryField(t *testing.T) {
	b := Start(t, Options{Props: walkProps()})
	w := NewWalk(t, b.Addr, Serves(t, b.Addr))
	limits := FormatLimits(w.Limits())
	differences, err := AgainstLimits(Captures(t), limits)
	if err != nil {
		t.Fatal(err)
	}
	report(t, differences, otherLimits)
}

// otherLimits are differences that are meant. Where Kafka falls silent, it has
// failed in the middle of an answer.
var otherLimits = []string{
	`InitProducerID (TransactionalID|client id 32768) `, // transactions are not served yet
	`^Kafka: AlterConfigs Resources 100 v0-2: silent$`, `^AlterConfigs Resources 100 v0-2: Resources.ErrorCode=42$`,
	`^Kafka: JoinGroup Protocols 100 v0-3: silent$`, `^JoinGroup Protocols 100 v0-3: ok$`,
	`^(Kafka: )?Offset(Commit|Fetch) Group 32767 v`, // version 0: a path has 32 KiB at most
	`^Kafka: OffsetFetch Groups 0 v8-9: silent$`, `^OffsetFetch Groups 0 v8-9: ok$`,
}

// otherwise are differences that are meant.
var otherwise = []string{
	`^OffsetFetch v[89] (empty|null|padded) \.Instead: nothing, Kafka silent`, // nor anything behind it on that connection
	`^OffsetFetch v[89] (empty|null|padded) .*, Kafka nothing`,
}

// report fails for each difference that none of known matches, and for each of
// known that was not met.
func report(t *testing.T, differences, known []string) {
	t.Helper()
	met := map[string]bool{}
next:
	for _, d := range differences {
		for _, k := range known {
			if regexp.MustCompile(k).MatchString(d) {
				met[k] = true
				continue next
			}
		}
		t.Error(d)
	}
	for _, k := range known {
		if !met[k] {
			t.Errorf("the accepted difference %q was not met: take it off the list", k)
		}
	}
}
