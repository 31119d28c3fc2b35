// SPDX-License-Identifier: Apache-2.0

package batch

// Bytes of a message after its length field, with null key and value.
const (
	legacyOverheadV0 = 14 // crc, magic, attributes, key length, value length
	legacyOverheadV1 = 22 // and a timestamp
)
