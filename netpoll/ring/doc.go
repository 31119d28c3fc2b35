// SPDX-License-Identifier: Apache-2.0

// Package ring is the thin layer over giouring: it makes an io_uring of the one
// kind package netpoll uses, hands out submission entries, and iterates over
// completions.
//
// giouring gives the layouts, the constants, the setup and the mappings. Around
// its known faults this package goes by itself: entries come zeroed (giouring's
// prepare functions leave old fields), the calls that enter and register are
// made here (giouring's entering blocks the processor, some registrations pass
// wrong arrays), the completion queue is walked here, and the buffer ring is
// kept here. Timeouts, opens, zero-copy sends and the registering of files are
// never asked of giouring.
//
// Nothing here is safe for concurrent use. The ring is made disabled; the thread
// that calls Start owns it from then on (SINGLE_ISSUER), and entering from
// another one fails.
//
// Everything but this comment needs the build tag giouring, because linking
// giouring needs -ldflags=-checklinkname=0; "make build" sets both.
package ring
