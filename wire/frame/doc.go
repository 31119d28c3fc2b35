// SPDX-License-Identifier: Apache-2.0

// Package frame holds the part of the Kafka protocol that every request pays
// for: the request and response headers, and the two hot messages, Produce and
// Fetch, without copies and without allocation.
//
// # Views
//
// What is decoded is a view: strings and record bytes are sub-slices of the
// frame they were read from and live exactly as long as it does. The caller
// keeps one ProduceRequest or FetchRequest per request in flight and decodes
// into it again and again; its slices are reused.
//
// # Bytes from outside
//
// A decoder never sizes anything by a count the peer claimed: elements are
// appended one by one as they are read, and a count that the remaining bytes
// cannot hold is ErrMalformed before the first of them. Tagged fields are
// skipped within the bounds they state. Nothing here panics on any input.
//
// All other messages are franz-go's kmsg. This package knows no connection and
// no meaning of any field.
package frame

import "errors"

// The ways in which bytes from a peer can fail to be a request.
var (
	// ErrMalformed: the bytes are not the message their header announces.
	ErrMalformed = errors.New("frame: malformed message")
	// ErrTooManyPartitions: the message names more partitions than MaxPartitions.
	ErrTooManyPartitions = errors.New("frame: too many partitions in one request")
	// ErrUnsupportedVersion: this codec does not speak that version.
	ErrUnsupportedVersion = errors.New("frame: unsupported version")
)

// MaxPartitions bounds the partitions one Produce or Fetch request may name;
// it is far above what any client sends and keeps the decoded form of a frame
// within a small multiple of the frame.
const MaxPartitions = 1 << 17

// Versions of the two hot messages that this package encodes and decodes.
const (
	MinProduce = 0
	MaxProduce = 11
	MinFetch   = 0
	MaxFetch   = 17
)
