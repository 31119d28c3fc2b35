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
	"slices"
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
func (f *folder) readMetadata(name string) ([16]byte, error) {
	text, err := readText(f.fs, filepath.Join(f.path, name, metadataName))
	if errors.Is(err, fs.ErrNotExist) {
		return [16]byte{}, nil
	}
	if err != nil {
		return [16]byte{}, err
	}
	id, err := parseMetadata(text)
	if err != nil {
		return id, fmt.Errorf("%w in %s", err, f.file(name))
	}
	return id, nil
}

// writeMetadata writes a log's partition.metadata, durably, name included.
func (f *folder) writeMetadata(name string, id [16]byte) error {
	path := f.file(name)
	if err := f.replace(path, metadataName, "version: 0\ntopic_id: "+topicText(id)); err != nil {
		return err
	}
	return f.sync(f.path)
}

// Kafka's offset checkpoints of a log directory.
const (
	recoveryPointName = "recovery-point-offset-checkpoint"
	logStartName      = "log-start-offset-checkpoint"
	replicationName   = "replication-offset-checkpoint"
)

var errOffsets = errors.New("dir: malformed offset checkpoint")

// parseOffsets reads an offset checkpoint: a version, 0, a count, and as many
// lines of topic, partition and offset. One wrong line spoils the file, as it
// does for Kafka.
func parseOffsets(text string) (map[Partition]int64, error) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) < 2 || lines[0] != "0" {
		return nil, fmt.Errorf("%w: version %.20q", errOffsets, lines[0])
	}
	count, err := strconv.Atoi(lines[1])
	if err != nil || count != len(lines)-2 {
		return nil, fmt.Errorf("%w: %.20q entries expected, %d found", errOffsets, lines[1], len(lines)-2)
	}
	out := make(map[Partition]int64, count)
	for _, line := range lines[2:] {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%w: line %.80q", errOffsets, line)
		}
		index, err1 := strconv.ParseInt(fields[1], 10, 32)
		offset, err2 := strconv.ParseInt(fields[2], 10, 64)
		p := Partition{Topic: fields[0], Index: int32(index)}
		if _, twice := out[p]; twice || err1 != nil || err2 != nil || index < 0 || offset < 0 {
			return nil, fmt.Errorf("%w: line %.80q", errOffsets, line)
		}
		out[p] = offset
	}
	return out, nil
}

// formatOffsets is the inverse of parseOffsets, sorted.
func formatOffsets(offsets map[Partition]int64) string {
	partitions := make([]Partition, 0, len(offsets))
	for p := range offsets {
		partitions = append(partitions, p)
	}
	slices.SortFunc(partitions, func(a, b Partition) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Index) - int(b.Index)
	})
	const digits = 40 // of a count, or of an index and an offset, with what stands between
	size := digits
	for _, p := range partitions {
		size += len(p.Topic) + digits
	}
	b := append(make([]byte, 0, size), "0\n"...)
	b = append(strconv.AppendInt(b, int64(len(partitions)), 10), '\n')
	for _, p := range partitions {
		b = append(append(b, p.Topic...), ' ')
		b = append(strconv.AppendInt(b, int64(p.Index), 10), ' ')
		b = append(strconv.AppendInt(b, offsets[p], 10), '\n')
	}
	return string(b)
}

// readOffsets reads an offset checkpoint. What it should say is rebuilt with
// the logs, so a file that is broken is named once and begun anew. nil: there is
// none, or none that can be read.
func (f *folder) readOffsets(name string) (map[Partition]int64, error) {
	text, err := readText(f.fs, f.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	offsets, bad := parseOffsets(text)
	if bad != nil {
		f.events.repaired(f.path, name, bad.Error())
		return nil, nil
	}
	return offsets, nil
}
