// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"
)

// alignedBlock is one block of memory at a multiple of its size.
func alignedBlock(align int) []byte {
	buf := make([]byte, 2*align)
	skip := align - int(uintptr(unsafe.Pointer(&buf[0]))%uintptr(align))
	return buf[skip : skip+align]
}

// A lock names the process that holds it, and is free when that process is
// gone. The holder is this test binary, started once more.
func TestLockNamesTheOtherProcess(t *testing.T) {
	if name := os.Getenv("VFS_TEST_HOLD"); name != "" {
		if _, err := OS().Lock(name); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		fmt.Println("held")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until the parent closes the pipe
		os.Exit(0)
	}
	name := filepath.Join(t.TempDir(), ".lock")
	holder := exec.Command(os.Args[0], "-test.run=^TestLockNamesTheOtherProcess$")
	holder.Env = append(os.Environ(), "VFS_TEST_HOLD="+name)
	in, err := holder.StdinPipe()
	must(t, err)
	out, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if must(t, err); line != "held\n" {
		t.Fatalf("holder says %q", line)
	}
	_, err = OS().Lock(name)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != holder.Process.Pid {
		t.Fatalf("lock held by %d: %v", holder.Process.Pid, err)
	}
	must(t, in.Close())
	must(t, holder.Wait())
	mine, err := OS().Lock(name)
	must(t, err)
	must(t, mine.Close())
}

// The hot write allocates nothing.
func TestWritevAllocatesNothing(t *testing.T) {
	f, err := OS().OpenFile(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	bufs := [][]byte{make([]byte, 100), make([]byte, 200)}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := f.WritevAt(bufs, 0); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(10, func() {
		if err := f.WriteDurableAt(bufs[0], 0); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations for a durable write", n)
	}
	must(t, f.Close())
}

// A full disk is told by the bytes that still went in and an error by name.
func TestFullDeviceIsNoSpace(t *testing.T) {
	f, err := OS().OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		m := NewMem()
		m.SetCapacity(0)
		f, err = m.OpenFile("/full", os.O_RDWR|os.O_CREATE, 0)
		must(t, err)
	}
	n, err := f.WritevAt([][]byte{[]byte("a"), []byte("b")}, 0)
	if n != 0 || !IsNoSpace(err) {
		t.Fatalf("%d, %v", n, err)
	}
	if err := f.WriteDurableAt([]byte("a"), 0); !IsNoSpace(err) {
		t.Fatalf("%v", err)
	}
	must(t, f.Close())
}
