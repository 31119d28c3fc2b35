// SPDX-License-Identifier: Apache-2.0

// Package garbage makes the heap of a broker as bad as a program's can be, so that
// the benchmarks see what the collector does to latency: 400 MB of live linked
// objects, and 300 MB of garbage a second. It does so only in a build with the
// tag "garbage", and there only when SAMSA_GARBAGE=on asks for it.
package garbage
