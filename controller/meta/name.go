// SPDX-License-Identifier: Apache-2.0

package meta

import (
	"errors"
	"fmt"
	"strings"
)

// Names of the topics that belong to the broker itself.
const (
	OffsetsTopic      = "__consumer_offsets"
	TransactionsTopic = "__transaction_state"
)

// TopicNameMax is the greatest length of a topic name: a directory name may
// have 255 characters, and a deleted partition's carries an id of its own.
const TopicNameMax = 249

// ErrInvalidTopic is returned for a name that no topic may have.
var ErrInvalidTopic = errors.New("meta: invalid topic name")

// IsInternal tells whether a topic belongs to the broker itself.
func IsInternal(topic string) bool { return topic == OffsetsTopic || topic == TransactionsTopic }

// ValidateTopicName applies Kafka's rules: 1 to 249 characters out of
// [a-zA-Z0-9._-], and neither "." nor "..". The error wraps ErrInvalidTopic.
func ValidateTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidTopic)
	case name == "." || name == "..":
		return fmt.Errorf("%w: it cannot be %q", ErrInvalidTopic, name)
	case len(name) > TopicNameMax:
		return fmt.Errorf("%w: %q has %d characters, at most %d are allowed", ErrInvalidTopic, name, len(name), TopicNameMax)
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return fmt.Errorf("%w: %q has a character outside of [a-zA-Z0-9._-]", ErrInvalidTopic, name)
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// CollisionKey gives the text that two colliding names share: metric names
// cannot tell '.' from '_', so Kafka refuses a topic that differs from another
// in nothing else.
func CollisionKey(name string) string { return strings.ReplaceAll(name, ".", "_") }
