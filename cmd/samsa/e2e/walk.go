// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Walk asks a broker every version of every API, in one order, so that two
// brokers that start empty with WalkProps have to answer the same.
type Walk struct {
	Known
	t     testing.TB
	raw   *Raw
	given int // unique names
	// Patience is how long an answer is waited for; what takes longer is Silent.
	// Further versions of what was Silent are waited for a second.
	Patience time.Duration
	silent   map[string]bool // questions that had no answer
}

// WalkProps are the settings of a broker that is walked over.
var WalkProps = map[string]string{
	"auto.create.topics.enable": "false", "num.partitions": "1", "log.retention.ms": "-1", "log.segment.delete.delay.ms": "1000", "group.initial.rebalance.delay.ms": "0",
	"group.max.session.timeout.ms": "1800000", "offsets.topic.num.partitions": "5", "socket.request.max.bytes": "100000",
}

// What comes instead of an answer.
const (
	Closed = "closed"
	Silent = "silent"
)

// Heard is one question and what came back.
type Heard struct {
	Key, Version int16
	Kind         string // of the body
	Request      []byte // the body, without what is put behind it
	Answer       []byte // the body; nil: Instead came instead
	Instead      string // Closed or Silent
}

// String names the question.
func (h *Heard) String() string {
	return fmt.Sprintf("%s v%d %s", kmsg.NameForKey(h.Key), h.Version, h.Kind)
}

// codes are the error codes of the answer, as ErrorCodes tells them, or what came instead.
func (h *Heard) codes() string {
	if h.Answer == nil {
		return h.Instead
	}
	resp := kmsg.ResponseForKey(h.Key)
	resp.SetVersion(h.Version)
	if err := resp.ReadFrom(h.Answer); err != nil {
		return err.Error()
	}
	return ErrorCodes(resp)
}

// NewWalk prepares a broker that is new; serves are the versions that are asked.
func NewWalk(t testing.TB, addr string, serves map[int16][2]int16) *Walk {
	t.Helper()
	w := &Walk{Known: Known{Addr: addr, IDs: map[string][16]byte{}, Names: map[string]string{}, Serves: serves}, t: t, Patience: time.Minute, silent: map[string]bool{}}
	w.dial()
	Settle(t, w.raw)
	w.topic("one")
	return w
}

// Serves asks which versions a broker has.
func Serves(t testing.TB, addr string) map[int16][2]int16 {
	t.Helper()
	resp, err := Dial(t, addr).Call(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		t.Fatal(err)
	}
	serves := map[int16][2]int16{}
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		serves[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	return serves
}

// kinds are the bodies that each version gets. Bytes behind a body are
// overlooked, until the frame is above socket.request.max.bytes.
var kinds = []struct {
	name string
	make func(w *Walk, key, version int16) kmsg.Request
	more int // bytes behind it
}{
	{"valid", (*Walk).accepted, 0}, {"refused", (*Walk).refused, 0}, {"empty", filled(EmptyFields), 0}, {"null", filled(NullFields), 0},
	{"one of each", filled(OneOfEach), 0}, {"padded", filled(EmptyFields), 60_000}, {"oversized", filled(EmptyFields), 100_000},
}

func filled(fill func(v reflect.Value)) func(*Walk, int16, int16) kmsg.Request {
	return func(_ *Walk, key, version int16) kmsg.Request { return Body(key, version, fill) }
}

// Bodies gives a body of each kind to each version.
func (w *Walk) Bodies() (all []Heard) {
	w.each(func(key, version int16) {
		for _, kind := range kinds {
			req := kind.make(w, key, version)
			h := w.ask(req, kind.name, func(frame []byte) []byte { return append(frame, make([]byte, kind.more)...) })
			if h.Kind == "valid" && h.codes() != "ok" {
				w.t.Errorf("%s: %s", &h, h.codes())
			}
			all = append(all, h)
		}
	})
	return all
}

func (w *Walk) each(do func(key, version int16)) {
	for _, key := range slices.Sorted(maps.Keys(w.Serves)) {
		for v := w.Serves[key][0]; v <= w.Serves[key][1]; v++ {
			do(key, v)
		}
	}
}

// ask asks on one connection, and on a new one where that was closed.
func (w *Walk) ask(req kmsg.Request, kind string, tamper func([]byte) []byte) Heard {
	w.t.Helper()
	h := Heard{Key: req.Key(), Version: req.GetVersion(), Kind: kind, Request: req.AppendTo(nil)}
	question := kmsg.NameForKey(h.Key) + " " + kind
	w.raw.Tamper, w.raw.Patience = tamper, w.Patience
	if w.silent[question] {
		w.raw.Patience = time.Second
	}
	resp, err := w.raw.Call(req)
	var late net.Error
	switch {
	case err == nil:
		h.Answer = slices.Clone(w.raw.body[headerSize(req):])
		if again := resp.AppendTo(nil); !bytes.Equal(again, h.Answer) {
			w.t.Errorf("%s was answered\n%.200x, which reads as\n%.200x", &h, h.Answer, again)
		}
		return h
	case errors.As(err, &late) && late.Timeout():
		h.Instead = Silent
		w.silent[question] = true
	case IsClosed(err):
		h.Instead = Closed
	default:
		w.t.Errorf("%s: %v", &h, err)
	}
	w.dial()
	return h
}

func (w *Walk) dial() {
	if w.raw != nil {
		_ = w.raw.conn.Close()
	}
	w.raw = Dial(w.t, w.Addr)
}

// IsClosed tells the end of a connection from other errors.
func IsClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// ErrorCodes are the fields of an answer that hold error codes, each once; "ok"
// when all of them are 0, "none" when there are none.
func ErrorCodes(resp kmsg.Response) string {
	codes := errorCodes(nil, "", reflect.ValueOf(resp).Elem())
	slices.Sort(codes)
	if codes = slices.Compact(codes); len(codes) == 0 {
		return "none"
	}
	if !slices.ContainsFunc(codes, func(c string) bool { return !strings.HasSuffix(c, "ErrorCode=0") }) {
		return "ok"
	}
	return strings.Join(codes, " ")
}

func errorCodes(codes []string, path string, v reflect.Value) []string {
	for i := range v.NumField() {
		f, at := v.Field(i), path+v.Type().Field(i).Name
		switch {
		case strings.HasSuffix(at, "ErrorCode"):
			codes = append(codes, fmt.Sprintf("%s=%d", at, f.Int()))
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for k := range f.Len() {
				codes = errorCodes(codes, at+".", f.Index(k))
			}
		}
	}
	return codes
}

// Captures is the folder of what a real Kafka answered to the walk.
func Captures(t testing.TB) string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	return root + string(os.PathSeparator) + "testdata" + string(os.PathSeparator) + "walk"
}
