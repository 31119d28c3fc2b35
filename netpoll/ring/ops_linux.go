// SPDX-License-Identifier: Apache-2.0

//go:build giouring

package ring

import "github.com/pawelgaczynski/giouring"

// The operations package netpoll uses, by their numbers in io_uring(7).
const (
	OpPollAdd       = giouring.OpPollAdd
	OpSendmsg       = giouring.OpSendmsg
	OpTimeout       = giouring.OpTimeout
	OpTimeoutRemove = giouring.OpTimeoutRemove
	OpAccept        = giouring.OpAccept
	OpAsyncCancel   = giouring.OpAsyncCancel
	OpRead          = giouring.OpRead
	OpWrite         = giouring.OpWrite
	OpSend          = giouring.OpSend
	OpRecv          = giouring.OpRecv
)

// Flags of entries and completions.
const (
	FlagAsync        = giouring.SqeAsync        // SQE.Flags: let a worker do it from the start
	FlagBufferSelect = giouring.SqeBufferSelect // SQE.Flags: take a buffer of group BufIG
	AcceptMultishot  = giouring.AcceptMultishot // SQE.IoPrio
	RecvMultishot    = giouring.RecvMultishot   // SQE.IoPrio
	PollFirst        = giouring.RecvsendPollFirst
	PollMultishot    = giouring.PollAddMulti // SQE.Len
	TimeoutUpdate    = giouring.TimeoutUpdate
	DoneMore         = giouring.CQEFMore   // CQE.Flags: more completions of this entry follow
	DoneBuffer       = giouring.CQEFBuffer // CQE.Flags: a buffer was taken
	DoneBufferShift  = giouring.CQEBufferShift
)
