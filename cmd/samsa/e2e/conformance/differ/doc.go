// SPDX-License-Identifier: Apache-2.0

// Package differ asks a real Kafka 3.9 and Samsa the same questions, good ones
// and bad ones, in every version of every API that Samsa serves, and compares
// the answers field by field. Ids, times and the words of messages are
// normalised; every other difference is a failure, or stands in a short list
// with its reason.
//
// Everything here is a test behind the build tag conformance.
package differ
