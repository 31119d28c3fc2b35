// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every implementation keeps the same promises: one list of small stories, told
// to each of them.

type place struct {
	fs  FS
	dir string // exists, empty
}

func implementations(t *testing.T) map[string]func(t *testing.T) place {
	pass := func(Op) error { return nil }
	mem := func() place {
		m := NewMem()
		if err := m.MkdirAll("/d/logs"); err != nil {
			t.Fatal(err)
		}
		return place{m, "/d/logs"}
	}
	return map[string]func(t *testing.T) place{
		"os":         func(t *testing.T) place { return place{OS(), t.TempDir()} },
		"mem":        func(*testing.T) place { return mem() },
		"inject/os":  func(t *testing.T) place { return place{Inject(OS(), pass), t.TempDir()} },
		"inject/mem": func(*testing.T) place { p := mem(); return place{Inject(p.fs, pass), p.dir} },
	}
}

func TestConformance(t *testing.T) {
	stories := map[string]func(*testing.T, place){
		"names": namesStory, "bytes": bytesStory, "gathered": gatheredStory, "open flags": flagsStory,
		"unlinked": unlinkedStory, "lock": lockStory, "direct": directStory, "hints": hintsStory,
	}
	for impl, open := range implementations(t) {
		for name, story := range stories {
			t.Run(impl+"/"+name, func(t *testing.T) { story(t, open(t)) })
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func create(t *testing.T, p place, name string, content string) File {
	t.Helper()
	f, err := p.fs.OpenFile(filepath.Join(p.dir, name), os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	if content != "" {
		_, err = f.WriteAt([]byte(content), 0)
		must(t, err)
	}
	return f
}

func contents(t *testing.T, f File) string {
	t.Helper()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); int64(n) != size || (err != nil && err != io.EOF) {
		t.Fatalf("read %d of %d: %v", n, size, err)
	}
	return string(b)
}

func list(t *testing.T, p place, dir string) string {
	t.Helper()
	entries, err := p.fs.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// Names: made, listed in order, renamed over one another, removed.
func namesStory(t *testing.T, p place) {
	in := func(name string) string { return filepath.Join(p.dir, name) }
	must(t, p.fs.Mkdir(in("t-1")))
	wantErr(t, p.fs.Mkdir(in("t-1")), fs.ErrExist)
	wantErr(t, p.fs.Mkdir(in("none/t-2")), fs.ErrNotExist)
	must(t, p.fs.MkdirAll(in("t-0/x/y")))
	must(t, p.fs.MkdirAll(in("t-0/x/y")))
	must(t, create(t, p, "b.tmp", "new").Close())
	must(t, create(t, p, "b", "old").Close())
	must(t, p.fs.Rename(in("b.tmp"), in("b")))
	if got := list(t, p, p.dir); got != "b t-0/ t-1/" {
		t.Fatalf("listed %q", got)
	}
	f, err := p.fs.OpenFile(in("b"), os.O_RDONLY, 0)
	must(t, err)
	if got := contents(t, f); got != "new" {
		t.Fatalf("b holds %q", got)
	}
	must(t, f.Close())
	must(t, p.fs.Rename(in("t-0"), in("t-0.abc-delete")))
	info, err := p.fs.Stat(in("t-0.abc-delete/x"))
	must(t, err)
	if !info.IsDir() || info.Name() != "x" {
		t.Fatalf("stat says %v %q", info.Mode(), info.Name())
	}
	if err := p.fs.Remove(in("t-0.abc-delete")); err == nil {
		t.Fatal("a directory that is not empty was removed")
	}
	must(t, p.fs.RemoveAll(in("t-0.abc-delete")))
	must(t, p.fs.RemoveAll(in("t-0.abc-delete")))
	must(t, p.fs.Remove(in("b")))
	wantErr(t, p.fs.Remove(in("b")), fs.ErrNotExist)
	_, err = p.fs.Stat(in("b"))
	wantErr(t, err, fs.ErrNotExist)
	wantErr(t, p.fs.Rename(in("b"), in("c")), fs.ErrNotExist)
	must(t, p.fs.SyncDir(p.dir))
	wantErr(t, p.fs.SyncDir(in("b")), fs.ErrNotExist)
	if got := list(t, p, p.dir); got != "t-1/" {
		t.Fatalf("left: %q", got)
	}
	free, total, err := p.fs.Usage(p.dir)
	if must(t, err); free <= 0 || total < free {
		t.Fatalf("%d free of %d", free, total)
	}
}

// Bytes: holes read as zeros, cuts and extensions, reads past the end, every
// way to make them durable.
func bytesStory(t *testing.T, p place) {
	f := create(t, p, "f", "0123456789")
	_, err := f.WriteAt([]byte("xyz"), 12)
	must(t, err)
	if got := contents(t, f); got != "0123456789\x00\x00xyz" {
		t.Fatalf("with a hole: %q", got)
	}
	b := make([]byte, 8)
	if n, err := f.ReadAt(b, 10); n != 5 || err != io.EOF {
		t.Fatalf("read over the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(b, 15); n != 0 || err != io.EOF {
		t.Fatalf("read at the end: %d, %v", n, err)
	}
	must(t, f.Truncate(3))
	must(t, f.Truncate(6))
	if got := contents(t, f); got != "012\x00\x00\x00" {
		t.Fatalf("cut and extended: %q", got)
	}
	must(t, f.WriteDurableAt([]byte("dur"), 4))
	must(t, f.WriteDurableAt(nil, 0))
	must(t, f.Sync())
	if got := contents(t, f); got != "012\x00dur" {
		t.Fatalf("written durably: %q", got)
	}
	if err := f.Allocate(0, 4096); err == nil {
		if size, _ := f.Size(); size != 4096 {
			t.Fatalf("allocated to %d", size)
		}
	} else {
		wantErr(t, err, ErrUnsupported)
	}
	must(t, f.Close())
	wantErr(t, f.Close(), fs.ErrClosed)
}

// Gathered writes: empty buffers, more buffers than one call takes.
func gatheredStory(t *testing.T, p place) {
	f := create(t, p, "f", "head")
	var want bytes.Buffer
	want.WriteString("head")
	var bufs [][]byte
	for i := range 300 {
		b := bytes.Repeat([]byte{byte(i)}, i%7)
		bufs = append(bufs, b)
		want.Write(b)
	}
	n, err := f.WritevAt(bufs, 4)
	if must(t, err); n != want.Len()-4 {
		t.Fatalf("wrote %d of %d", n, want.Len()-4)
	}
	if n, err := f.WritevAt([][]byte{nil, {}}, 4); n != 0 || err != nil {
		t.Fatalf("nothing written: %d, %v", n, err)
	}
	if contents(t, f) != want.String() {
		t.Fatal("the file holds something else")
	}
	must(t, f.Close())
}

// Flags: nothing is made without O_CREATE, O_EXCL refuses, O_TRUNC cuts, a
// reader cannot write.
func flagsStory(t *testing.T, p place) {
	name := filepath.Join(p.dir, "f")
	_, err := p.fs.OpenFile(name, os.O_RDWR, 0)
	wantErr(t, err, fs.ErrNotExist)
	must(t, create(t, p, "f", "abc").Close())
	_, err = p.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	wantErr(t, err, fs.ErrExist)
	f, err := p.fs.OpenFile(name, os.O_RDONLY, 0)
	must(t, err)
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("wrote through a reader")
	}
	if _, err := f.WritevAt([][]byte{[]byte("x")}, 0); err == nil {
		t.Fatal("wrote through a reader")
	}
	must(t, f.Close())
	f, err = p.fs.OpenFile(name, os.O_RDWR|os.O_TRUNC, 0)
	must(t, err)
	if got := contents(t, f); got != "" {
		t.Fatalf("after O_TRUNC: %q", got)
	}
	must(t, f.Close())
	if _, err := p.fs.OpenFile(p.dir, os.O_RDWR, 0); err == nil {
		t.Fatal("opened a directory for writing")
	}
}

// An open file goes on without its name.
func unlinkedStory(t *testing.T, p place) {
	f := create(t, p, "f", "still here")
	must(t, p.fs.Remove(filepath.Join(p.dir, "f")))
	must(t, create(t, p, "f", "another").Close())
	if got := contents(t, f); got != "still here" {
		t.Fatalf("unlinked file holds %q", got)
	}
	_, err := f.WriteAt([]byte("S"), 0)
	must(t, err)
	must(t, f.Close())
}

// One holder at a time; the file stays; another directory does not matter.
func lockStory(t *testing.T, p place) {
	name := filepath.Join(p.dir, ".lock")
	held, err := p.fs.Lock(name)
	must(t, err)
	_, err = p.fs.Lock(name)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID <= 0 || locked.Name != name {
		t.Fatalf("second lock: %v", err)
	}
	must(t, p.fs.Mkdir(filepath.Join(p.dir, "other")))
	other, err := p.fs.Lock(filepath.Join(p.dir, "other", ".lock"))
	must(t, err)
	must(t, other.Close())
	must(t, held.Close())
	wantErr(t, held.Close(), fs.ErrClosed)
	held, err = p.fs.Lock(name)
	must(t, err)
	must(t, held.Close())
	if got := list(t, p, p.dir); got != ".lock other/" {
		t.Fatalf("left: %q", got)
	}
}

// Direct I/O works with the alignment told, or is refused by name.
func directStory(t *testing.T, p place) {
	must(t, create(t, p, "f", "plain").Close())
	f, align, err := p.fs.OpenDirect(filepath.Join(p.dir, "f"))
	if err != nil {
		wantErr(t, err, ErrNoDirect)
		return
	}
	if align < 512 || align&(align-1) != 0 {
		t.Fatalf("alignment %d", align)
	}
	block := alignedBlock(align)
	copy(block, "direct")
	must(t, f.WriteDurableAt(block, 0))
	clear(block)
	_, err = f.ReadAt(block, 0)
	must(t, err)
	if string(block[:6]) != "direct" {
		t.Fatalf("read %q", block[:6])
	}
	must(t, f.Close())
}

// What only hints never fails and never lies about zero bytes.
func hintsStory(t *testing.T, p place) {
	f := create(t, p, "f", strings.Repeat("x", 10000))
	f.Drop(0, 0)
	if resident, known := f.Cached(0, 10000); known && !resident {
		f.Drop(0, 0) // dropped pages may be dirty still: either answer is right
	}
	if fd, ok := f.FD(); ok && fd == 0 {
		t.Fatal("descriptor 0")
	}
	must(t, f.Close())
}
