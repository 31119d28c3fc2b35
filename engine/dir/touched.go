// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/samsa-broker/samsa/engine"
)

// preallocated is the least size an index file is taken to be preallocated at:
// one of ours with that many entries belongs to half a gigabyte.
const preallocated = 1 << 20

// touched tells whether another broker has opened a log since we last had it:
// Kafka resizes the active segment's index to segment.index.bytes when it loads
// a log, and cuts it to size only when it stops cleanly. We never do, so our
// files end in a zero entry only where a power cut tore them; those are small.
// It must be asked before the log is opened, which mends the index.
func (d *Dir) touched(name string, c *engine.Config) (bool, error) {
	path := filepath.Join(d.o.Path, name)
	entries, err := d.o.FS.ReadDir(path)
	if err != nil {
		return false, err
	}
	active := ""
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".index") {
			active = e.Name() // they are sorted, and names are as long as each other
		}
	}
	if active == "" {
		return false, nil
	}
	const entry = 8
	f, err := d.o.FS.OpenFile(filepath.Join(path, active), os.O_RDONLY, 0)
	if err != nil {
		return false, err
	}
	size, err := f.Size()
	var last [entry]byte
	if err == nil && size >= entry {
		_, err = f.ReadAt(last[:], size-entry)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	grown := size >= preallocated || c != nil && size == int64(c.IndexBytes)/entry*entry
	return size >= entry && grown && last == [entry]byte{}, err
}
