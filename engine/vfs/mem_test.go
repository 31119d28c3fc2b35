// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
)

func memFS(t *testing.T) (*Mem, place) {
	t.Helper()
	m := NewMem()
	must(t, m.Mkdir("/d"))
	must(t, m.SyncDir("/"))
	return m, place{m, "/d"}
}

func read(t *testing.T, m *Mem, name string) (string, bool) {
	t.Helper()
	f, err := m.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	must(t, err)
	defer f.Close()
	return contents(t, f), true
}

// What was synced, name and bytes, is in every clone.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	m, p := memFS(t)
	f := create(t, p, "a", "synced")
	must(t, f.Sync())
	must(t, m.SyncDir("/d"))
	g := create(t, p, "b", "......")
	must(t, m.SyncDir("/d"))
	must(t, g.WriteDurableAt([]byte("dur"), 3))
	_, err := f.WriteAt([]byte(" and more"), 6)
	must(t, err)
	for seed := range int64(200) {
		c := m.CrashClone(seed)
		if got, ok := read(t, c, "/d/a"); !ok || len(got) < 6 || got[:6] != "synced" {
			t.Fatalf("seed %d: a is %q, %v", seed, got, ok)
		}
		if got, ok := read(t, c, "/d/b"); !ok || len(got) != 6 || got[3:] != "dur" {
			t.Fatalf("seed %d: b is %q, %v", seed, got, ok)
		}
	}
}

// Each thing that was not synced is lost under one seed and kept under another,
// and a seed repeats.
func TestCrashDrawsEveryOutcome(t *testing.T) {
	m, p := memFS(t)
	must(t, create(t, p, "old", "1").Close())
	f := create(t, p, "file", string(bytes.Repeat([]byte{'0'}, 3*sector)))
	must(t, f.Sync())
	must(t, m.SyncDir("/d"))
	_, err := f.WriteAt(bytes.Repeat([]byte{'1'}, 3*sector), 0)
	must(t, err)
	must(t, create(t, p, "new", "").Close())
	must(t, m.Rename("/d/old", "/d/moved"))
	seen := map[string]bool{}
	for seed := range int64(400) {
		c := m.CrashClone(seed)
		data, _ := read(t, c, "/d/file")
		mix := ""
		for s := 0; s < 3; s++ {
			part := data[s*sector : (s+1)*sector]
			if part != string(bytes.Repeat([]byte{part[0]}, sector)) {
				t.Fatalf("seed %d: a torn sector", seed)
			}
			mix += part[:1]
		}
		_, old := read(t, c, "/d/old")
		_, moved := read(t, c, "/d/moved")
		if old == moved {
			t.Fatalf("seed %d: renamed file there twice or not at all", seed)
		}
		_, created := read(t, c, "/d/new")
		seen["sectors "+mix], seen[fmt.Sprint("moved ", moved)], seen[fmt.Sprint("new ", created)] = true, true, true
		if again, _ := read(t, m.CrashClone(seed), "/d/file"); again != data {
			t.Fatalf("seed %d gives two disks", seed)
		}
	}
	if len(seen) != 8+2+2 {
		t.Fatalf("outcomes: %v", seen)
	}
}

// A file whose directory was never synced may be gone, however well it was
// synced itself; lengths are those the file had.
func TestCrashForgetsNamesAndLengths(t *testing.T) {
	m, p := memFS(t)
	must(t, m.Mkdir("/d/t-0"))
	f := create(t, p, "t-0/seg", "abc")
	must(t, f.Sync())
	must(t, m.SyncDir("/d/t-0")) // but not /d
	gone := 0
	for seed := range int64(100) {
		if _, ok := read(t, m.CrashClone(seed), "/d/t-0/seg"); !ok {
			gone++
		}
	}
	if gone == 0 || gone == 100 {
		t.Fatalf("gone in %d of 100", gone)
	}
	must(t, m.SyncDir("/d"))
	must(t, f.Truncate(1))
	_, err := f.WriteAt([]byte("xy"), 1)
	must(t, err)
	lengths := map[string]bool{}
	for seed := range int64(300) {
		got, ok := read(t, m.CrashClone(seed), "/d/t-0/seg")
		if !ok {
			t.Fatal("a synced name is gone")
		}
		lengths[got] = true
	}
	for _, possible := range []string{"abc", "a", "axy"} {
		if !lengths[possible] {
			t.Fatalf("%q never came: %v", possible, lengths)
		}
	}
}

// A full disk takes what fits, says so, and takes more when there is room.
func TestMemCapacity(t *testing.T) {
	m, p := memFS(t)
	m.SetCapacity(10)
	f := create(t, p, "f", "12345678")
	n, err := f.WritevAt([][]byte{[]byte("ab"), []byte("cd")}, 8)
	if n != 2 || !IsNoSpace(err) {
		t.Fatalf("%d, %v", n, err)
	}
	if err := f.Truncate(11); !IsNoSpace(err) {
		t.Fatal(err)
	}
	if free, total, _ := m.Usage("/"); free != 0 || total != 10 {
		t.Fatalf("%d of %d", free, total)
	}
	must(t, f.Truncate(4))
	if n, err := f.WriteAt([]byte("567890"), 4); n != 6 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	must(t, m.Remove("/d/f"))
	if free, _, _ := m.Usage("/"); free != 0 {
		t.Fatal("an open file gave its bytes back")
	}
	must(t, f.Close())
	if free, _, _ := m.Usage("/"); free != 10 {
		t.Fatalf("%d free after the last handle", free)
	}
}

// Inject fails exactly the operation asked for, lets part of a write through,
// and sees every operation.
func TestInject(t *testing.T) {
	boom := errors.New("boom")
	var seen []string
	failAt := int64(0)
	var answer error = boom
	m, _ := memFS(t)
	fsys := Inject(m, func(op Op) error {
		seen = append(seen, op.String())
		if op.N == failAt {
			return answer
		}
		return nil
	})
	f, err := fsys.OpenFile("/d/f", os.O_RDWR|os.O_CREATE, 0)
	must(t, err)
	failAt = 2
	wantErr(t, f.Sync(), boom)
	failAt, answer = 3, &ShortWrite{Written: 3, Err: boom}
	if n, err := f.WritevAt([][]byte{[]byte("ab"), []byte("cd")}, 0); n != 3 || !errors.Is(err, boom) {
		t.Fatalf("%d, %v", n, err)
	}
	if got := contents(t, f); got != "abc" {
		t.Fatalf("%q", got)
	}
	must(t, fsys.Rename("/d/f", "/d/g"))
	want := []string{"open /d/f", "sync /d/f", "write /d/f 0+4", "size /d/f", "read /d/f 0+3", "rename /d/f /d/g"}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Fatalf("saw %q", seen)
	}
	if _, ok := f.FD(); ok {
		t.Fatal("a descriptor would go around the injection")
	}
}
