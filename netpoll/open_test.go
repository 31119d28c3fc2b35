// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"errors"
	"strings"
	"testing"
)

// Open takes the first backend that works and has one line for each other one;
// an unknown name is refused with those that exist.
func TestOpenTellsWhatItPassedOver(t *testing.T) {
	l, refused, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, r := range refused {
		if r.Backend == "" || r.Why == "" || strings.Contains(r.String(), "\n") {
			t.Errorf("refusal %q", r)
		}
		if r.Backend == l.Name() {
			t.Errorf("%s was refused and taken", r.Backend)
		}
	}
	if _, _, err := Open(Options{Backend: "kqueue"}); !errors.Is(err, ErrNoBackend) || !strings.Contains(err.Error(), "portable") {
		t.Errorf("unknown backend: %v", err)
	}
}

// A loop that never ran closes, once, and runs no more.
func TestCloseBeforeRun(t *testing.T) {
	for _, name := range []string{"uring", "epoll", "portable"} {
		l, _, err := Open(Options{Backend: name})
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := l.Run(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: Run after Close: %v", name, err)
		}
		if err := l.Close(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: second Close: %v", name, err)
		}
	}
}

// A buffer given back twice is our bug and found at once.
func TestRecycleTwice(t *testing.T) {
	a, err := newArena(4, true)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	i, _ := a.take()
	b := a.lend(i, 10)
	a.give(a.back(b))
	defer func() {
		if recover() == nil {
			t.Fatal("the second Recycle went unnoticed")
		}
	}()
	a.back(b)
}
