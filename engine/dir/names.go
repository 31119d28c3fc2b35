// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	nameMax       = 255
	metadataName  = "partition.metadata"
	remoteCache   = "remote-log-index-cache"
	uniqueHexSize = 32
)

// logName is the directory of a replica.
func logName(topic string, partition int32) string {
	return topic + "-" + strconv.Itoa(int(partition))
}

// parseLogName splits NAME-PARTITION at the last dash: topics have dashes too.
func parseLogName(name string) (topic string, partition int32, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != name[i+1:] {
		return "", 0, false
	}
	return name[:i], int32(n), true
}

// suffixOf tells the directories Kafka keeps aside: NAME-P.<32 hex>-delete,
// -future or -stray.
func suffixOf(name string) string {
	for _, suffix := range []string{"-delete", "-future", "-stray"} {
		rest, ok := strings.CutSuffix(name, suffix)
		if !ok {
			continue
		}
		dot := strings.LastIndexByte(rest, '.')
		if dot < 0 || len(rest)-dot-1 != uniqueHexSize {
			continue
		}
		if _, err := hex.DecodeString(rest[dot+1:]); err == nil {
			return suffix
		}
	}
	return ""
}

// deleteName is the name a log gets when it is deleted. The topic is cut so
// that the name fits.
func deleteName(topic string, partition int32) string {
	var unique [uniqueHexSize / 2]byte
	_, _ = rand.Read(unique[:]) // never fails
	suffix := fmt.Sprintf("-%d.%x-delete", partition, unique)
	return topic[:min(len(topic), nameMax-len(suffix))] + suffix
}

// topicText is how Kafka writes topic ids: base64url, without padding.
func topicText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// parseMetadata reads partition.metadata.
func parseMetadata(text string) (id [16]byte, err error) {
	bad := fmt.Errorf("dir: malformed %s: %.80q", metadataName, text)
	version, seen := "", false
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return id, bad
		}
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "version":
			version = value
		case "topic_id":
			b, err := base64.RawURLEncoding.DecodeString(value)
			if err != nil || len(b) != len(id) {
				return id, bad
			}
			copy(id[:], b)
			seen = true
		}
	}
	if version != "0" || !seen {
		return id, bad
	}
	return id, nil
}

// readMetadata returns the topic id a log's directory names; zero: none.
func (d *Dir) readMetadata(name string) ([16]byte, error) {
	text, err := readText(d.o.FS, filepath.Join(d.o.Path, name, metadataName))
	if errors.Is(err, fs.ErrNotExist) {
		return [16]byte{}, nil
	}
	if err != nil {
		return [16]byte{}, err
	}
	id, err := parseMetadata(text)
	if err != nil {
		return id, fmt.Errorf("%w in %s", err, filepath.Join(d.o.Path, name))
	}
	return id, nil
}

// writeMetadata writes a log's partition.metadata, durably, name included.
func (d *Dir) writeMetadata(name string, id [16]byte) error {
	path := filepath.Join(d.o.Path, name)
	if err := d.replace(path, metadataName, "version: 0\ntopic_id: "+topicText(id)); err != nil {
		return err
	}
	return d.syncDir(d.o.Path)
}
