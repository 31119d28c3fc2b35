// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/samsa-broker/samsa/engine/journal"
)

const (
	markName = ".kafka_cleanshutdown"
	// markText is what Kafka 3.9 writes in ZooKeeper mode; that the file is
	// there is all that counts.
	markText = `{"version":0,"brokerEpoch":-1}`
	markTemp = "samsa.mark.tmp"
)

// readMark finds the clean-shutdown mark, whoever wrote it.
func (d *Dir) readMark(name string) (m journal.Mark, found bool, err error) {
	info, err := d.o.FS.Stat(filepath.Join(d.o.Path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	return journal.Mark{Inode: inode(info), MtimeN: info.ModTime().UnixNano()}, true, nil
}

// makeMark writes the mark under another name, so that a checkpoint can name
// it before it counts.
func (d *Dir) makeMark() (m journal.Mark, err error) {
	name := filepath.Join(d.o.Path, markTemp)
	if err := d.o.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	f, err := d.o.FS.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return m, err
	}
	_, err = f.WriteAt([]byte(markText), 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return m, err
	}
	m, _, err = d.readMark(markTemp)
	return m, err
}

// setMark makes the mark count: the last thing of a clean stop.
func (d *Dir) setMark() error {
	err := d.o.FS.Rename(filepath.Join(d.o.Path, markTemp), filepath.Join(d.o.Path, markName))
	if err != nil {
		return err
	}
	return d.syncDir(d.o.Path)
}

// clearMark removes the mark durably, before the first append.
func (d *Dir) clearMark() error {
	err := d.o.FS.Remove(filepath.Join(d.o.Path, markName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.syncDir(d.o.Path)
}
