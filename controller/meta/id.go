// SPDX-License-Identifier: Apache-2.0

package meta

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
)

// BrokerID is the number of a broker (broker.id in server.properties).
type BrokerID int32

// NoBroker is the leader of a partition that has none.
const NoBroker BrokerID = -1

// Partition names one partition of a topic.
type Partition struct {
	Topic string
	Index int32
}

// String gives the name of the partition's directory: TOPIC-INDEX.
func (p Partition) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.Index) }

// TopicID is the identity of a topic (KIP-516): a recreated topic has another
// one. The zero value means "none".
type TopicID [16]byte

// ErrTopicID is returned for text that is not a topic id.
var ErrTopicID = errors.New("meta: not a topic id")

// idText is the text form: base64 of RFC 4648 §5, unpadded, always 22 characters.
var idText = base64.RawURLEncoding.Strict()

// NewTopicID draws a random id (UUID version 4). Like Kafka it never gives the
// zero id, nor one whose text starts with '-', which command lines would take
// for a flag.
func NewTopicID() TopicID {
	for {
		var id TopicID
		rand.Read(id[:]) // never fails: it ends the process instead
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' {
			return id
		}
	}
}

// ParseTopicID reads the text form. The error wraps ErrTopicID.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	if len(s) != idText.EncodedLen(len(id)) {
		return TopicID{}, fmt.Errorf("%w: %q", ErrTopicID, s)
	}
	if n, err := idText.Decode(id[:], []byte(s)); err != nil || n != len(id) {
		return TopicID{}, fmt.Errorf("%w: %q", ErrTopicID, s)
	}
	return id, nil
}

// String gives the text form, 22 characters.
func (id TopicID) String() string { return idText.EncodeToString(id[:]) }

// IsZero tells whether there is no id.
func (id TopicID) IsZero() bool { return id == TopicID{} }
