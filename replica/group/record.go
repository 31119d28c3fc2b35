// SPDX-License-Identifier: Apache-2.0

package group

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions of the records as a 3.9 broker writes them; all that it reads are
// read. The layouts are those of Kafka's OffsetCommitKey, OffsetCommitValue,
// GroupMetadataKey and GroupMetadataValue.
const (
	offsetKeyVersion     = 1 // 0 and 1 have the same layout
	groupKeyVersion      = 2
	offsetValueVersion   = 3
	offsetValueExpires   = 1 // the version that carries an expiry, kept for clients that ask for one
	groupValueVersion    = 3
	highestValueVersion  = 4
	maxRecordStringBytes = 1<<15 - 1 // strings have a 16 bit length
)

var (
	errUnknownKey   = errors.New("group: record key of an unknown version")
	errUnknownValue = errors.New("group: record value of an unknown version")
	errBadRecord    = errors.New("group: malformed record")
)

// committed is an offset as a group stored it.
type committed struct {
	offset      int64
	leaderEpoch int32 // -1: not known
	metadata    string
	commitMs    int64
	expireMs    int64 // -1: by the broker's retention
}

// recordKey is a decoded key: of an offset, or, topic empty and offsetKey
// false, of a group.
type recordKey struct {
	group  string
	offset bool
	at     TopicPartition
}

func encodeOffsetKey(group string, at TopicPartition) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: group, Topic: at.Topic, Partition: at.Partition}
	return k.AppendTo(make([]byte, 0, 10+len(group)+len(at.Topic)))
}

func encodeGroupKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: group}
	return k.AppendTo(make([]byte, 0, 4+len(group)))
}

func encodeOffsetValue(c committed) []byte {
	v := kmsg.OffsetCommitValue{
		Version:         offsetValueVersion,
		Offset:          c.offset,
		LeaderEpoch:     c.leaderEpoch,
		Metadata:        c.metadata,
		CommitTimestamp: c.commitMs,
		ExpireTimestamp: c.expireMs,
	}
	if c.expireMs != -1 {
		v.Version = offsetValueExpires
	}
	return v.AppendTo(make([]byte, 0, 32+len(c.metadata)))
}

// encodeGroupValue writes the group as it stands, with the assignments given:
// they are not the members' own until the record is visible.
func encodeGroupValue(g *group, assigned map[string][]byte) []byte {
	v := kmsg.GroupMetadataValue{
		Version:               groupValueVersion,
		Generation:            g.generation,
		Protocol:              g.protocol,
		CurrentStateTimestamp: g.sinceMs,
	}
	if g.protocolType != nil {
		v.ProtocolType = *g.protocolType
	}
	if g.leader != "" {
		leader := g.leader
		v.Leader = &leader
	}
	for _, m := range g.members {
		v.Members = append(v.Members, kmsg.GroupMetadataValueMember{
			MemberID:               m.id,
			InstanceID:             m.instance,
			ClientID:               m.clientID,
			ClientHost:             m.clientHost,
			RebalanceTimeoutMillis: m.rebalanceMs,
			SessionTimeoutMillis:   m.sessionMs,
			Subscription:           m.metadata(*g.protocol),
			Assignment:             assigned[m.id],
		})
	}
	return v.AppendTo(nil)
}

// decodeKey tells what a record is about; errUnknownKey for versions of a later
// Kafka, which a reader is to pass over.
func decodeKey(b []byte) (recordKey, error) {
	if len(b) < 2 {
		return recordKey{}, fmt.Errorf("%w: key of %d bytes", errBadRecord, len(b))
	}
	switch version := int16(binary.BigEndian.Uint16(b)); {
	case version < 0 || version > groupKeyVersion:
		return recordKey{}, fmt.Errorf("%w: %d", errUnknownKey, version)
	case version == groupKeyVersion:
		var k kmsg.GroupMetadataKey
		if err := k.ReadFrom(b); err != nil {
			return recordKey{}, fmt.Errorf("%w: group key: %w", errBadRecord, err)
		}
		return recordKey{group: k.Group}, nil
	default:
		var k kmsg.OffsetCommitKey
		if err := k.ReadFrom(b); err != nil {
			return recordKey{}, fmt.Errorf("%w: offset key: %w", errBadRecord, err)
		}
		return recordKey{group: k.Group, offset: true, at: TopicPartition{k.Topic, k.Partition}}, nil
	}
}

// valueVersion is the version a value starts with, if it is one we read.
func valueVersion(b []byte) (int16, error) {
	if len(b) < 2 {
		return 0, fmt.Errorf("%w: value of %d bytes", errBadRecord, len(b))
	}
	version := int16(binary.BigEndian.Uint16(b))
	if version < 0 || version > highestValueVersion {
		return version, fmt.Errorf("%w: %d", errUnknownValue, version)
	}
	return version, nil
}

func decodeOffsetValue(b []byte) (committed, error) {
	version, err := valueVersion(b)
	if err != nil {
		return committed{}, err
	}
	if version >= flexibleValue {
		if err := checkOffsetValue(b); err != nil {
			return committed{}, err
		}
	}
	v := kmsg.NewOffsetCommitValue()
	if err := v.ReadFrom(b); err != nil {
		return committed{}, fmt.Errorf("%w: offset value: %w", errBadRecord, err)
	}
	c := committed{offset: v.Offset, leaderEpoch: -1, metadata: v.Metadata, commitMs: v.CommitTimestamp, expireMs: -1}
	if version >= 3 {
		c.leaderEpoch = v.LeaderEpoch
	}
	if version == offsetValueExpires {
		c.expireMs = v.ExpireTimestamp
	}
	return c, nil
}

// decodeGroupValue gives the value as it was written; a group that an older
// broker wrote lacks what its version did not know: no instance ids before 3,
// no state timestamp (-1) before 2, and in 0 the session timeout is also the
// rebalance timeout.
func decodeGroupValue(b []byte) (kmsg.GroupMetadataValue, error) {
	v := kmsg.NewGroupMetadataValue()
	version, err := valueVersion(b)
	if err != nil {
		return v, err
	}
	if version >= flexibleValue {
		if err := checkGroupValue(b); err != nil {
			return v, err
		}
	}
	if err := v.ReadFrom(b); err != nil {
		return v, fmt.Errorf("%w: group value: %w", errBadRecord, err)
	}
	if version == 0 {
		for i := range v.Members {
			v.Members[i].RebalanceTimeoutMillis = v.Members[i].SessionTimeoutMillis
		}
	}
	return v, nil
}

// consumerProtocol is the protocol type whose subscriptions Kafka specifies.
const consumerProtocol = "consumer"

// subscribedTopics adds the topics of a consumer's subscription to the set.
// The layout is ConsumerProtocolSubscription, any version: version int16, then
// an array of strings; what follows is the assignor's business.
func subscribedTopics(set map[string]struct{}, b []byte) error {
	if len(b) < 6 {
		return fmt.Errorf("%w: subscription of %d bytes", errBadRecord, len(b))
	}
	n := int32(binary.BigEndian.Uint32(b[2:]))
	b = b[6:]
	for i := int32(0); i < n; i++ {
		if len(b) < 2 {
			return fmt.Errorf("%w: subscription ends at topic %d of %d", errBadRecord, i, n)
		}
		size := int(int16(binary.BigEndian.Uint16(b)))
		b = b[2:]
		if size < 0 || size > len(b) {
			return fmt.Errorf("%w: topic %d of a subscription has %d bytes, %d are left", errBadRecord, i, size, len(b))
		}
		set[string(b[:size])] = struct{}{}
		b = b[size:]
	}
	return nil
}

// flexibleValue is the first version of values in the flexible encoding.
const flexibleValue = 4

// walker passes over a flexible value. kmsg's decoders count tagged fields down
// from whatever number stands there, though the bytes have ended, so a value is
// walked over before it is decoded.
type walker struct {
	b   []byte
	bad bool
}

func (w *walker) skip(n uint64) {
	if w.bad || n > uint64(len(w.b)) {
		w.b, w.bad = nil, true
		return
	}
	w.b = w.b[n:]
}

func (w *walker) uvarint() uint64 {
	v, n := binary.Uvarint(w.b)
	if n <= 0 || v > 1<<32-1 {
		w.b, w.bad = nil, true
		return 0
	}
	w.b = w.b[n:]
	return v
}

// sized passes a string or byte field, null or not.
func (w *walker) sized() {
	if n := w.uvarint(); n > 0 {
		w.skip(n - 1)
	}
}

func (w *walker) tags() {
	for n := w.uvarint(); n > 0 && !w.bad; n-- {
		w.uvarint()
		w.skip(w.uvarint())
	}
}

func (w *walker) err(what string) error {
	if w.bad {
		return fmt.Errorf("%w: %s value holds less than it says", errBadRecord, what)
	}
	return nil
}

// checkOffsetValue walks over an offset commit value of version 4.
func checkOffsetValue(b []byte) error {
	w := walker{b: b}
	w.skip(2 + 8 + 4) // version, offset, leader epoch
	w.sized()         // metadata
	w.skip(8)         // commit timestamp
	w.tags()
	return w.err("offset")
}

// checkGroupValue walks over a group metadata value of version 4.
func checkGroupValue(b []byte) error {
	w := walker{b: b}
	w.skip(2)
	w.sized() // protocol type
	w.skip(4) // generation
	w.sized() // protocol
	w.sized() // leader
	w.skip(8) // state timestamp
	for n := w.uvarint(); n > 1 && !w.bad; n-- {
		for range 4 { // member, instance, client id, host
			w.sized()
		}
		w.skip(4 + 4) // timeouts
		w.sized()     // subscription
		w.sized()     // assignment
		w.tags()
	}
	w.tags()
	return w.err("group")
}
