// SPDX-License-Identifier: Apache-2.0

// Package hostiletest makes bytes that mean harm, for the tests of every room:
//
// Mill runs a fuzz target millions of times a minute, without the engine of go
// test -fuzz: seeded, over the target's seeds and corpus, and counted. It makes
// up in numbers what it lacks in coverage guidance; the corpus, which the engine
// grew, leads it to the deep places. Wrap a target's F once:
//
//	func FuzzPeek(f *testing.F) {
//		m := hostiletest.New(f)
//		m.Add(...)
//		m.Fuzz(func(t *testing.T, b []byte) { ... })
//	}
//
// Without SAMSA_FUZZ_RUNS that is an ordinary target. With it (.ci/fuzz sets it)
// every target runs that often, and an input that fails is left in the target's
// testdata folder as the engine would leave it. With SAMSA_FUZZ_GROW, in a test
// binary built with -cover, it keeps each input that reaches new code, too: that
// is how the corpus in the tree was made.
//
// Lengths finds every length in a message of kmsg, so that a test can lie in
// each without knowing one position by heart.
package hostiletest
