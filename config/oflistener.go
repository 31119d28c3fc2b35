// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"
)

const listenerKeys = "listener.name."

// ofListener are the keys that act for a single listener, too, as
// listener.name.NAME.KEY.
var ofListener = []string{"max.connection.creation.rate", "max.connections"}

// OfListener is what listener.name.NAME.KEY says; ok is false when it is not
// set. A *ValueError where KEY does not allow the value, or Kafka does not for
// a single listener, which must let somebody in.
func (b *Broker) OfListener(listener, key string) (value int64, ok bool, err error) {
	name := listenerKeys + strings.ToLower(listener) + "." + key
	text, ok := b.set[name]
	if !ok {
		text, ok = b.extra[name]
	}
	if !ok {
		return 0, false, nil
	}
	k := *brokerIndex[key]
	k.Name, k.Valid = name, atLeast(1)
	if text, err = k.Parse(text); err != nil {
		return 0, false, err
	}
	return toInteger(text), true, nil
}

// actsForListener tells whether name is a key of a single listener that acts.
func actsForListener(name string) bool {
	rest, ok := strings.CutPrefix(name, listenerKeys)
	_, key, dot := strings.Cut(rest, ".")
	return ok && dot && slices.Contains(ofListener, key)
}
