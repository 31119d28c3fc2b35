// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"os"
	"path/filepath"
	"testing"
)

// A stat file as Linux 6.18 writes it: the fields are told apart.
func TestDeviceCounters(t *testing.T) {
	got, err := parseIO("  100 1 2000 7   40 3 320 9  0 5 6  0 0 0 0   12 8\n")
	if want := (IO{Writes: 40, Flushes: 12, Bytes: 320 * 512}); err != nil || got != want {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	if _, err := parseIO("1 2 3"); err == nil {
		t.Error("three counters are enough")
	}
	if d := got.Less(IO{Writes: 39, Flushes: 10, Bytes: 512}); d != (IO{1, 2, 319 * 512}) {
		t.Errorf("the difference is %+v", d)
	}
}

// What was written and dropped is no longer in the page cache.
func TestDropCache(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.log"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	left, err := DropCache(filepath.Join(dir, "*.log"))
	if err != nil || left > 64<<10 {
		t.Errorf("%d bytes are left: %v", left, err)
	}
	if _, err := DropCache(filepath.Join(dir, "*.none")); err == nil {
		t.Error("nothing can be dropped of no file")
	}
	if Free(dir) <= 0 {
		t.Error("no room where a MiB was just written")
	}
}

// What a run changed is put back, also when it ends early and twice.
func TestSettingsAreRestored(t *testing.T) {
	const name = "net/ipv4/tcp_fin_timeout"
	old := setting(name)
	var s Settings
	if err := s.Set(name, "61"); err != nil {
		if os.Geteuid() == 0 {
			t.Fatal(err)
		}
		return // only root may, and nothing was changed
	}
	if setting(name) != "61" {
		t.Errorf("it is %s", setting(name))
	}
	again, err := s.Stock(name)
	if err != nil || setting(name) != old {
		t.Errorf("for a row it is %s, was %s: %v", setting(name), old, err)
	}
	if again(); setting(name) != "61" {
		t.Errorf("after the row it is %s", setting(name))
	}
	for range 2 {
		if err := s.Restore(); err != nil {
			t.Fatal(err)
		}
		if setting(name) != old {
			t.Errorf("it is %s, was %s", setting(name), old)
		}
	}
}
