// SPDX-License-Identifier: Apache-2.0

//go:build !race

package e2e

// raceEnabled says that the tests, and so the broker, run under the race detector.
const raceEnabled = false
