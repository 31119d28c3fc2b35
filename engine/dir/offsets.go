// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

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
	var b strings.Builder
	fmt.Fprintf(&b, "0\n%d\n", len(partitions))
	for _, p := range partitions {
		fmt.Fprintf(&b, "%s %d %d\n", p.Topic, p.Index, offsets[p])
	}
	return b.String()
}

// readOffsets reads an offset checkpoint. What it should say is rebuilt with
// the logs, so a file that is broken is named once and begun anew.
func (d *Dir) readOffsets(name string) (map[Partition]int64, error) {
	text, err := readText(d.o.FS, filepath.Join(d.o.Path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return map[Partition]int64{}, nil
	}
	if err != nil {
		return nil, err
	}
	offsets, bad := parseOffsets(text)
	if bad != nil {
		d.events().repaired(d.o.Path, name, bad.Error())
		return map[Partition]int64{}, nil
	}
	return offsets, nil
}
