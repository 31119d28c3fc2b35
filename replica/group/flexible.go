// SPDX-License-Identifier: Apache-2.0

package group

import (
	"encoding/binary"
	"fmt"
)

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
