// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"

	"github.com/samsa-broker/samsa/wire/frame"
)

// coded is an error that carries its code: what this package itself finds
// wrong with a request.
type coded struct {
	code frame.ErrorCode
	text string
}

// Error implements error.
func (e *coded) Error() string { return e.text }

// Fail returns an error that Code turns into code, with a message for those
// responses that have room for one.
func Fail(code frame.ErrorCode, text string) error { return &coded{code, text} }

// codes holds one row per failure a lower package can report; the first row
// that matches wins. It is the only place where an error becomes a Kafka code.
var codes = []struct {
	err  error
	code frame.ErrorCode
}{
	{frame.ErrMalformed, frame.InvalidRequest},
	{frame.ErrTooManyPartitions, frame.InvalidRequest},
	{frame.ErrUnsupportedVersion, frame.UnsupportedVersion},
}

// codeOf looks err up in the table. What the table does not know is
// UNKNOWN_SERVER_ERROR, as in Kafka.
func codeOf(err error) frame.ErrorCode {
	if err == nil {
		return frame.None
	}
	for i := range codes {
		if errors.Is(err, codes[i].err) {
			return codes[i].code
		}
	}
	var c *coded
	if errors.As(err, &c) {
		return c.code
	}
	return frame.UnknownServerError
}

// Message returns the text for a response's error_message field: nil when err
// is nil.
func Message(err error) *string {
	if err == nil {
		return nil
	}
	s := err.Error()
	return &s
}
