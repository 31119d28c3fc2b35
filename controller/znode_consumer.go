// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/samsa-broker/samsa/controller/meta"
)

// PathConsumers is where groups of the first consumers keep what they know.
const PathConsumers = "/consumers"

// Bounds of the path of an offset, which the tree stores whole with each node:
// a group may have any name that a request has room for, slashes included. A key
// of the store has at most 32 KiB; bytes times nodes is what one offset may cost.
const (
	offsetPathBytesMax = 32 << 10
	offsetPathNodesMax = 32
	offsetPathCostMax  = 192 << 10
)

// PathConsumerOffset is how far a group has read a partition. A name that
// ZooKeeper would refuse, or that is too long, is an error that wraps
// meta.ErrGroupPath.
func PathConsumerOffset(group string, p meta.Partition) (string, error) {
	if len(group) > offsetPathBytesMax {
		return "", fmt.Errorf("%w: %d bytes", meta.ErrGroupPath, len(group))
	}
	path := PathConsumers + "/" + group + "/offsets/" + p.Topic + "/" + strconv.Itoa(int(p.Index))
	nodes := strings.Count(path, "/")
	if len(path) > offsetPathBytesMax || nodes > offsetPathNodesMax || len(path)*nodes > offsetPathCostMax || !validPath(path) {
		return "", fmt.Errorf("%w: %.80q", meta.ErrGroupPath, group)
	}
	return path, nil
}

// validPath applies ZooKeeper's rules to an absolute path: no node has an empty
// name, or "." or "..", and some characters are not allowed anywhere.
func validPath(path string) bool {
	for name := range strings.SplitSeq(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	return strings.IndexFunc(path, forbidden) < 0
}

// forbidden are control characters, what UTF-16 needs two units for or has no
// character for, private use and the specials; bytes that are no UTF-8 are read
// as one of the last.
func forbidden(c rune) bool {
	return c <= 0x1f || c >= 0x7f && c <= 0x9f || c >= 0xd800 && c <= 0xf8ff || c >= 0xfff0
}

// EncodeConsumerOffset makes the data of a group's offset.
func EncodeConsumerOffset(offset int64) []byte { return strconv.AppendInt(nil, offset, 10) }

// DecodeConsumerOffset reads what EncodeConsumerOffset made.
func DecodeConsumerOffset(data []byte) (int64, error) {
	offset, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("controller: consumer offset: %w", err)
	}
	return offset, nil
}
