// SPDX-License-Identifier: Apache-2.0

// Package api answers the Kafka APIs: one file per API key, each a Handler
// that turns a Call into a reply by way of the small interfaces it declares.
//
// # One list
//
// Handlers returns every handler of the broker. The server dispatches from
// that list and ApiVersions advertises it; nothing else names a served key.
// To add an API: write its file, declare what it needs as an interface, put
// that into Deps, and add it to the list.
//
// # Where a handler runs
//
// Serve runs on the loop of its connection and must not block; a Slow handler
// runs on the bounded pool instead. A handler answers exactly once, at once or
// later, with Reply, Done, Silent or Close. Reply may be called from any
// goroutine; the other methods of a Call belong to its loop.
//
// # Errors
//
// Lower packages return their own errors; Code in errors.go is the only place
// where one becomes a number of the protocol.
package api

import (
	"net/netip"
	"time"

	"github.com/samsa-broker/samsa/wire/frame"
)

// Handler serves one API key.
type Handler struct {
	Key, Min, Max int16
	// Produce puts the handler into the ordering class of its own: it may
	// start once every earlier Produce of the connection is Placed.
	Produce bool
	// Slow handlers run on the bounded pool, not on the loop.
	Slow bool
	// Raw handlers decode Call.Raw themselves, which is then a view of the
	// connection's memory that ends with ReleaseFrame or the reply. For the
	// others Body is decoded and Raw is nil.
	Raw bool
	// Serve answers one request.
	Serve func(c *Call)
}

// Client says who sent a request.
type Client struct {
	// ID is the client id of the request header, empty when null.
	ID string
	// Host is the peer's address.
	Host netip.Addr
	// Principal is the authenticated identity, "User:ANONYMOUS" without authentication.
	Principal string
	// Listener is the name of the listener the connection came in on.
	Listener string
	// Software and SoftwareVersion are what the client said in ApiVersions v3+.
	Software, SoftwareVersion string
}

// Task is work posted to a loop; it is netpoll.Message and replica.Task.
type Task = interface{ Run() }

// Carrier is what the server lends to a Call: its place on the connection.
// Only server implements it outside tests. Home, OnLoop and Go may be called by
// anyone, all other methods on the connection's loop.
type Carrier interface {
	// Home is the connection's loop.
	Home() Home
	// OnLoop reports whether the caller is on that loop.
	OnLoop() bool
	// Placed lets later Produce requests of the connection start.
	Placed()
	// ReleaseFrame gives the memory of Call.Raw back before the reply.
	ReleaseFrame()
	// Park arms the call's one timer to run t after d (negative: no timer) and
	// runs a, once, should the connection die before Unpark or the reply.
	Park(d time.Duration, t, a Task)
	// Unpark undoes Park.
	Unpark()
	// Done hands the reply over for sending; the Call must not be used after.
	Done()
	// Silent ends a request that gets no reply (acks=0).
	Silent()
	// Close ends the request by closing the connection, for the reason err.
	Close(err error)
	// Go runs t on the bounded pool.
	Go(t Task)
	// Now is the loop's monotonic clock in nanoseconds.
	Now() int64
}

// Range is one row of the ApiVersions table.
type Range struct{ Key, Min, Max int16 }

// Code returns the ErrorCode that err becomes on the wire; nil is None.
func Code(err error) frame.ErrorCode { return codeOf(err) }
