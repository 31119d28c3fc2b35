// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/engine/dir"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// denying refuses one operation, or all of them if kind is negative, on what
// stands in a directory, as missing permissions and broken disks do.
func denying(path string, kind int) vfs.FS {
	return vfs.Inject(vfs.OS(), func(op vfs.Op) error {
		if (op.Name == path || strings.HasPrefix(op.Name, path+"/")) && (kind < 0 || op.Kind == vfs.OpKind(kind)) {
			return &fs.PathError{Op: op.Kind.String(), Path: op.Name, Err: fs.ErrPermission}
		}
		return nil
	})
}

// usedDirs are the directories of a broker that stopped cleanly; a holds the
// metadata store.
func usedDirs(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	b, err := startOn(t, vfs.OS(), root)
	if err != nil {
		t.Fatal(err)
	}
	if r := b.edge.CreateTopics(newTopics("t"), false); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	if err := b.close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return root
}

// Whatever the first thing is that a directory does not give, the broker goes on
// with the other one; the directory of the metadata store it cannot do without.
func TestDirectoryThatDoesNotOpen(t *testing.T) {
	root := usedDirs(t)
	for name, kind := range map[string]int{"all": -1, "list": int(vfs.OpReadDir), "open": int(vfs.OpOpen), "lock": int(vfs.OpLock)} {
		b, err := startOn(t, denying(filepath.Join(root, "b"), kind), root)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if line := b.readyLine(); !strings.HasSuffix(line, " offline="+filepath.Join(root, "b")) {
			t.Errorf("%s: %s", name, line)
		}
		if dirs := (logDirs{b}).LogDirs(); len(dirs) != 2 || dirs[0].Err != nil || !errors.Is(dirs[1].Err, dir.ErrFenced) {
			t.Errorf("%s: %+v", name, dirs)
		}
		if b.edge.Image().Topic("t") == nil || b.set.Lookup([]byte("t"), 0).Err() == nil && b.set.Lookup([]byte("t"), 1).Err() == nil {
			t.Errorf("%s: no partition of the directory is offline", name)
		}
		if err := b.close(context.Background()); err != nil {
			t.Errorf("%s: the stop is not clean: %v", name, err)
		}
		if _, err := startOn(t, denying(filepath.Join(root, "a"), kind), root); err == nil || !strings.Contains(err.Error(), "samsa.meta") {
			t.Errorf("%s, of the store's directory: %v", name, err)
		}
	}
	b, err := startOn(t, vfs.OS(), root)
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		if err := b.set.Lookup([]byte("t"), p).Err(); err != nil {
			t.Errorf("when all is well again: t-%d: %v", p, err)
		}
	}
	if err := b.close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// What an operator has to decide is no broken disk: a directory of another
// broker, and one that is named twice, refuse the start.
func TestDirectoryThatIsWrong(t *testing.T) {
	root := usedDirs(t)
	name := filepath.Join(root, "b", "meta.properties")
	ours, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("version=0\nbroker.id=77\ncluster.id=another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := startOn(t, vfs.OS(), root); !errors.Is(err, dir.ErrMeta) {
		t.Errorf("another broker's: %v", err)
	}
	if err := os.WriteFile(name, ours, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "b"), filepath.Join(root, "away")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "a"), filepath.Join(root, "b")); err != nil {
		t.Fatal(err)
	}
	if _, err := startOn(t, vfs.OS(), root); err == nil || !strings.Contains(err.Error(), "are the same directory") {
		t.Errorf("one twice: %v", err)
	}
}
