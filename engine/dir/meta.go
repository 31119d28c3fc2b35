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

// folder is the files of the directory beside the logs.
type folder struct {
	fs     vfs.FS
	path   string
	events *Events // never nil
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

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

// identify compares meta.properties with what this broker is, or writes it, and
// tells the cluster id. An existing file is never rewritten: it may hold keys of
// others.
func (f *folder) identify(o *Options) (clusterID string, err error) {
	m, found, err := ReadMeta(f.fs, f.path)
	if err != nil {
		return "", err
	}
	name := f.file(metaName)
	if !found {
		if o.ClusterID == "" {
			return "", fmt.Errorf("%w: %s does not exist and no cluster id is given", ErrMeta, name)
		}
		text := fmt.Sprintf("#\n#%s\ncluster.id=%s\nversion=0\nbroker.id=%d\n",
			o.Now().UTC().Format(time.UnixDate), o.ClusterID, o.BrokerID)
		return o.ClusterID, f.writeText(metaName, text)
	}
	if o.BrokerID >= 0 && m.BrokerID >= 0 && m.BrokerID != o.BrokerID {
		return "", fmt.Errorf("%w: %s says broker.id=%d, this is broker %d", ErrMeta, name, m.BrokerID, o.BrokerID)
	}
	if o.ClusterID != "" && m.ClusterID != "" && m.ClusterID != o.ClusterID {
		return "", fmt.Errorf("%w: %s says cluster.id=%s, this cluster is %s", ErrMeta, name, m.ClusterID, o.ClusterID)
	}
	if m.ClusterID == "" {
		return o.ClusterID, nil
	}
	return m.ClusterID, nil
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
func (f *folder) writeText(name, text string) error {
	return f.replace(f.path, name, text)
}

// replace is writeText for a directory below this one.
func (f *folder) replace(path, name, text string) error {
	tmp, final := filepath.Join(path, name+".tmp"), filepath.Join(path, name)
	file, err := f.fs.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte(text), 0)
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := f.fs.Rename(tmp, final); err != nil {
		return err
	}
	return f.sync(path)
}

const (
	markName = ".kafka_cleanshutdown"
	// markText is what Kafka 3.9 writes in ZooKeeper mode; that the file is
	// there is all that counts.
	markText = `{"version":0,"brokerEpoch":-1}`
	markTemp = "samsa.mark.tmp"
)

// readMark finds the clean-shutdown mark, whoever wrote it.
func (f *folder) readMark(name string) (m journal.Mark, found bool, err error) {
	info, err := f.fs.Stat(f.file(name))
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
func (f *folder) makeMark() (m journal.Mark, err error) {
	name := f.file(markTemp)
	if err := f.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	file, err := f.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return m, err
	}
	_, err = file.WriteAt([]byte(markText), 0)
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return m, err
	}
	m, _, err = f.readMark(markTemp)
	return m, err
}

// setMark makes the mark count: the last thing of a clean stop.
func (f *folder) setMark() error {
	err := f.fs.Rename(f.file(markTemp), f.file(markName))
	if err != nil {
		return err
	}
	return f.sync(f.path)
}

// clearMark removes the mark durably, before the first append.
func (f *folder) clearMark() error {
	err := f.fs.Remove(f.file(markName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.sync(f.path)
}
