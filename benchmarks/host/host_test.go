// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"testing"
	"time"
)

// A group counts what its processes cost, also through a freeze in between.
func TestGroupCounts(t *testing.T) {
	g, err := NewGroup("selftest", "")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	cmd := g.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exec sleep 60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for g.CPU() < 20*time.Millisecond {
		if time.Now().After(deadline) {
			t.Fatalf("%s counts %v of a loop that takes longer", g.How(), g.CPU())
		}
		time.Sleep(time.Millisecond)
	}
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	if g.RSS() <= 0 {
		t.Error("a running shell has no memory")
	}
}

func TestDescribe(t *testing.T) {
	m := Describe(t.TempDir())
	if m.Kernel == "" || m.Cores < 1 || m.MemoryMiB < 1 || m.FileSystem == "" {
		t.Errorf("the machine is %+v", m)
	}
	if s := Spent(); s.Busy <= 0 {
		t.Errorf("the cores have spent %+v", s)
	}
}
