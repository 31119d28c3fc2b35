// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Mount is a file system of its own in a file, on a loop device.
type Mount struct {
	Dir    string // where it is mounted
	image  string
	device string
}

// makers of the file systems that can be asked for. Each has a journal.
var makers = map[string][]string{
	"ext4": {"mkfs.ext4", "-q", "-F", "-O", "has_journal", "-E", "lazy_itable_init=0,lazy_journal_init=0"},
	"xfs":  {"mkfs.xfs", "-q", "-f"},
}

// NewMount makes a file system of the kind ("ext4" with a journal, "xfs") and
// size in bytes, its image and mount point below dir. It needs root.
func NewMount(kind, dir string, size int64) (m *Mount, err error) {
	mk, ok := makers[kind]
	if !ok {
		return nil, fmt.Errorf("host: no file system %q: there are ext4 and xfs", kind)
	}
	if _, err := exec.LookPath(mk[0]); err != nil {
		return nil, fmt.Errorf("host: %s is not installed (Debian: e2fsprogs, xfsprogs)", mk[0])
	}
	m = &Mount{Dir: filepath.Join(dir, "mnt"), image: filepath.Join(dir, kind+".img")}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if err := os.MkdirAll(m.Dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(m.image)
	if err != nil {
		return nil, err
	}
	if err = errors.Join(f.Truncate(size), f.Close()); err != nil {
		return nil, err
	}
	out, err := command("losetup", "--find", "--show", "--direct-io=on", m.image)
	if err != nil {
		return nil, err
	}
	m.device = out
	if _, err = command(mk[0], append(mk[1:], m.device)...); err != nil {
		return nil, err
	}
	_, err = command("mount", "-o", "noatime", m.device, m.Dir)
	return m, err
}

// Close unmounts it and removes the image; it may be called twice.
func (m *Mount) Close() error {
	var failed error
	if mounted(m.Dir) {
		_, failed = command("umount", m.Dir)
	}
	if m.device != "" && failed == nil {
		if _, failed = command("losetup", "--detach", m.device); failed == nil {
			m.device = ""
		}
	}
	if failed == nil {
		if err := os.Remove(m.image); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = err
		}
	}
	return failed
}

func mounted(dir string) bool {
	b, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(b), " "+dir+" ")
}

func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("host: %s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}
