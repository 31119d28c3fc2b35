// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Settings are kernel settings changed for a run.
type Settings struct {
	mu  sync.Mutex
	old map[string]string
}

func setting(name string) string {
	b, err := os.ReadFile(filepath.Join("/proc/sys", name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Set changes a setting (a path below /proc/sys) and remembers what it was.
func (s *Settings) Set(name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := setting(name)
	if old == value {
		return nil
	}
	if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
		return fmt.Errorf("host: cannot set %s to %s: %w", name, value, err)
	}
	if s.old == nil {
		s.old = map[string]string{}
	}
	if _, ok := s.old[name]; !ok {
		s.old[name] = old
	}
	return nil
}

// Stock gives some settings the values they had before the run until again is
// called.
func (s *Settings) Stock(names ...string) (again func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := map[string]string{}
	again = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for name, value := range changed {
			if _, ok := s.old[name]; ok { // else everything was put back meanwhile
				_ = os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644) // it could be written before
			}
		}
	}
	for _, name := range names {
		old, ok := s.old[name]
		if !ok {
			continue
		}
		changed[name] = setting(name)
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(old), 0o644); err != nil {
			return again, fmt.Errorf("host: cannot set %s to %s: %w", name, old, err)
		}
	}
	return again, nil
}

// Restore puts everything back; it may be called twice and from any goroutine.
func (s *Settings) Restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed error
	for name, old := range s.old {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(old), 0o644); err != nil {
			failed = fmt.Errorf("host: cannot put %s back to %s: %w", name, old, err)
			continue
		}
		delete(s.old, name)
	}
	return failed
}
