// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// Prepare makes the journal's files if they are not there, gives them fileBytes
// each and makes all of it durable.
func Prepare(fsys vfs.FS, dir string, fileBytes int64) error {
	for i := range Files {
		if err := prepareFile(fsys, filepath.Join(dir, FileName(i)), fileBytes); err != nil {
			return err
		}
	}
	return fsys.SyncDir(dir)
}

func prepareFile(fsys vfs.FS, name string, fileBytes int64) (err error) {
	if info, err := fsys.Stat(name); err == nil && info.Mode().IsRegular() && info.Size() == fileBytes {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if err := f.Truncate(fileBytes); err != nil {
		return err
	}
	if err := f.Allocate(0, fileBytes); err != nil && !errors.Is(err, vfs.ErrUnsupported) {
		return err
	}
	return f.Sync()
}

// files are the journal's files, open, as one stream that goes around.
type files struct {
	list      [Files]vfs.File
	size      int64 // of each
	align     int64 // of what is written
	notDirect error // why O_DIRECT is not used, nil when it is
}

// open takes all files past the page cache, or none.
func (s *files) open(fsys vfs.FS, dir string) (err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for i := range s.list {
		f, align, err := fsys.OpenDirect(filepath.Join(dir, FileName(i)))
		if err == nil && (s.size%int64(align) != 0 || align > os.Getpagesize()) {
			_ = f.Close() // nothing was written through it
			err = fmt.Errorf("%w: alignment of %d bytes", vfs.ErrNoDirect, align)
		}
		if errors.Is(err, vfs.ErrNoDirect) {
			s.close()
			s.notDirect = err
			break
		}
		if err != nil {
			return err
		}
		s.list[i], s.align = f, max(s.align, int64(align))
	}
	if s.notDirect == nil {
		return nil
	}
	for i := range s.list {
		if s.list[i], err = fsys.OpenFile(filepath.Join(dir, FileName(i)), os.O_RDWR, 0); err != nil {
			return err
		}
	}
	return nil
}

func (s *files) close() {
	for i, f := range s.list {
		if f != nil {
			_ = f.Close() // every write through it was durable or is lost already
			s.list[i] = nil
		}
	}
}

// at is the file that holds a position of the stream, and where in it.
func (s *files) at(position int64) (f vfs.File, off int64) {
	return s.list[position/s.size%Files], position % s.size
}

// next is where a group of so many bytes goes whose turn is at position: no
// group straddles two files.
func (s *files) next(position, padded int64) (pos int64, entersFile bool) {
	if left := s.size - position%s.size; left < padded {
		position += left
	}
	return position, position > 0 && position%s.size == 0
}
