// SPDX-License-Identifier: Apache-2.0

//go:build linux

package powercut

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The rig tells what was synced from what was not: over many cuts a synced
// file with a synced entry always survives, everything else is lost sometimes.
func TestDiskForgetsWhatWasNotSynced(t *testing.T) {
	dir := needFuse(t)
	lost := map[string]int{}
	const cuts = 40
	for seed := range uint64(cuts) {
		after := writeAndCut(t, dir, rand.New(rand.NewPCG(seed, 0)))
		for _, name := range []string{"synced", "dsync", "unsynced", "no-entry", "renamed"} {
			i := after.root.names[name]
			if i == nil || !bytes.Equal(i.data, bytes.Repeat([]byte{7}, 8192)) {
				lost[name]++
			}
		}
	}
	for _, name := range []string{"synced", "dsync"} {
		if lost[name] != 0 {
			t.Errorf("%s was lost in %d of %d cuts", name, lost[name], cuts)
		}
	}
	for _, name := range []string{"unsynced", "no-entry", "renamed"} {
		if lost[name] == 0 || lost[name] == cuts {
			t.Errorf("%s was lost in %d of %d cuts: want some, not all", name, lost[name], cuts)
		}
	}
}

func needFuse(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Getuid() != 0 {
		t.Skip("the power-cut rig needs root and /dev/fuse")
	}
	return t.TempDir()
}

func writeAndCut(t *testing.T, at string, rng *rand.Rand) *Disk {
	t.Helper()
	d := NewDisk(1 << 30)
	unmount, err := Mount(d, at)
	if err != nil {
		t.Fatal(err)
	}
	defer unmount()
	content := bytes.Repeat([]byte{7}, 8192)
	put := func(name string, flags int, sync bool) {
		f, err := os.OpenFile(filepath.Join(at, name), os.O_CREATE|os.O_RDWR|flags, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
		if sync {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("synced", 0, true)
	put("dsync", unix.O_DSYNC, false)
	put("unsynced", 0, false)
	put("old-name", 0, true)
	root, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.Sync(); err != nil {
		t.Fatal(err)
	}
	put("no-entry", 0, true)
	if err := os.Rename(filepath.Join(at, "old-name"), filepath.Join(at, "renamed")); err != nil {
		t.Fatal(err)
	}
	return d.Cut(rng)
}
