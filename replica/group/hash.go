// SPDX-License-Identifier: Apache-2.0

package group

import "unicode/utf16"

// PartitionFor is the partition of __consumer_offsets that keeps a group, out
// of n > 0: Java's String.hashCode of the group id, made non-negative, modulo
// n. A broker that hashes otherwise loses the offsets that Kafka wrote.
func PartitionFor(group string, n int32) int32 {
	h := javaHash(group)
	if h == -1<<31 {
		h = 0 // Math.abs would leave it negative; Kafka takes 0
	} else if h < 0 {
		h = -h
	}
	return h % n
}

// javaHash is String.hashCode: over UTF-16 units, wrapping in 32 bits.
func javaHash(s string) int32 {
	var h int32
	for _, r := range s {
		if r >= 0x10000 {
			hi, lo := utf16.EncodeRune(r)
			h = 31*(31*h+hi) + lo
			continue
		}
		h = 31*h + r
	}
	return h
}

// utf16Len is String.length: what offset.metadata.max.bytes really counts.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		if r >= 0x10000 {
			n++
		}
		n++
	}
	return n
}
