// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/samsa-broker/samsa/engine/journal"
	"github.com/samsa-broker/samsa/engine/vfs"
)

const (
	metaName = "meta.properties"
	lockName = ".lock"
	// textMax bounds the files of text that are read whole.
	textMax = 64 << 20
)

// Meta is what meta.properties says of a directory.
type Meta struct {
	BrokerID  int32 // -1: not said
	ClusterID string
}

// ReadMeta reads meta.properties of a directory that need not be locked. found
// is false where there is none.
func ReadMeta(fsys vfs.FS, path string) (m Meta, found bool, err error) {
	name := filepath.Join(path, metaName)
	text, err := readText(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return Meta{BrokerID: -1}, false, nil
	}
	if err != nil {
		return m, false, err
	}
	m, err = parseMeta(text)
	if err != nil {
		err = fmt.Errorf("%w: %s: %w", ErrMeta, name, err)
	}
	return m, true, err
}

// StoreOf tells which metadata store a directory was last used with; zero if
// none.
func StoreOf(fsys vfs.FS, path string) ([16]byte, error) {
	c, _, err := journal.ReadCheckpoint(fsys, path)
	if err != nil || c == nil {
		return [16]byte{}, err
	}
	return c.Store, nil
}

// parseMeta reads Java properties, as far as Kafka writes them. Version 0 is
// what ZooKeeper mode demands; version 1 belongs to KRaft.
func parseMeta(text string) (Meta, error) {
	m := Meta{BrokerID: -1}
	version := ""
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.ReplaceAll(strings.TrimSpace(value), `\`, "")
		switch key {
		case "version":
			version = value
		case "cluster.id":
			m.ClusterID = value
		case "broker.id":
			id, err := strconv.ParseInt(value, 10, 32)
			if err != nil || id < 0 {
				return m, fmt.Errorf("broker.id=%s is not an id", value)
			}
			m.BrokerID = int32(id)
		}
	}
	if version != "0" {
		return m, fmt.Errorf("version=%s, want 0 (another version belongs to KRaft)", version)
	}
	return m, nil
}

// checkMeta compares meta.properties with what this broker is, or writes it.
// An existing file is never rewritten: it may hold keys of others.
func checkMeta(d *Dir) error {
	m, found, err := ReadMeta(d.o.FS, d.o.Path)
	if err != nil {
		return err
	}
	name := filepath.Join(d.o.Path, metaName)
	if !found {
		if d.o.ClusterID == "" {
			return fmt.Errorf("%w: %s does not exist and no cluster id is given", ErrMeta, name)
		}
		d.clusterID = d.o.ClusterID
		text := fmt.Sprintf("#\n#%s\ncluster.id=%s\nversion=0\nbroker.id=%d\n",
			d.now().UTC().Format(time.UnixDate), d.o.ClusterID, d.o.BrokerID)
		return writeText(d, metaName, text)
	}
	if d.o.BrokerID >= 0 && m.BrokerID >= 0 && m.BrokerID != d.o.BrokerID {
		return fmt.Errorf("%w: %s says broker.id=%d, this is broker %d", ErrMeta, name, m.BrokerID, d.o.BrokerID)
	}
	if d.o.ClusterID != "" && m.ClusterID != "" && m.ClusterID != d.o.ClusterID {
		return fmt.Errorf("%w: %s says cluster.id=%s, this cluster is %s", ErrMeta, name, m.ClusterID, d.o.ClusterID)
	}
	d.clusterID = m.ClusterID
	if d.clusterID == "" {
		d.clusterID = d.o.ClusterID
	}
	return nil
}

// readText reads a small file whole.
func readText(fsys vfs.FS, name string) (text string, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	size, err := f.Size()
	if err != nil {
		return "", err
	}
	if size > textMax {
		return "", fmt.Errorf("dir: %s has %d bytes, at most %d make sense", name, size, textMax)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(b[:n]), nil
}

// writeText replaces a file of the directory as Kafka does: a .tmp beside it,
// synced, renamed, and the directory synced.
func writeText(d *Dir, name, text string) error {
	return replaceFile(d, d.o.Path, name, text)
}

func replaceFile(d *Dir, path, name, text string) error {
	tmp, final := filepath.Join(path, name+".tmp"), filepath.Join(path, name)
	f, err := d.o.FS.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(text), 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := d.o.FS.Rename(tmp, final); err != nil {
		return err
	}
	return d.syncDir(path)
}

const (
	markName = ".kafka_cleanshutdown"
	// markText is what Kafka 3.9 writes in ZooKeeper mode; that the file is
	// there is all that counts.
	markText = `{"version":0,"brokerEpoch":-1}`
	markTemp = "samsa.mark.tmp"
)

// readMark finds the clean-shutdown mark, whoever wrote it.
func readMark(d *Dir, name string) (m journal.Mark, found bool, err error) {
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
func makeMark(d *Dir) (m journal.Mark, err error) {
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
	m, _, err = readMark(d, markTemp)
	return m, err
}

// setMark makes the mark count: the last thing of a clean stop.
func setMark(d *Dir) error {
	err := d.o.FS.Rename(filepath.Join(d.o.Path, markTemp), filepath.Join(d.o.Path, markName))
	if err != nil {
		return err
	}
	return d.syncDir(d.o.Path)
}

// clearMark removes the mark durably, before the first append.
func clearMark(d *Dir) error {
	err := d.o.FS.Remove(filepath.Join(d.o.Path, markName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.syncDir(d.o.Path)
}
