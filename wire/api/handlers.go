// SPDX-License-Identifier: Apache-2.0

package api

import "slices"

// Deps gathers what the handlers need; each field is a small interface that
// the file of its API declares.
type Deps struct{}

// Handlers returns the broker's handlers in the order of their keys.
func Handlers(d Deps) []Handler {
	var list []Handler
	slices.SortFunc(list, func(a, b Handler) int { return int(a.Key) - int(b.Key) })
	return list
}
