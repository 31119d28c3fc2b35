// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Every version of every API that the broker advertises is asked: with what a
// client asked a real Kafka (testdata/wire), with nothing in it, with nulls
// wherever a null may stand, with one empty element in each list, and with more
// than a control frame may hold. Each is answered in the version it was asked
// in; what is too large, and what Kafka hangs up on, closes the connection.
func TestEveryVersionOfEveryAPI(t *testing.T) {
	b := Start(t, Options{Props: map[string]string{"samsa.max.control.frame.bytes": "70000", "group.initial.rebalance.delay.ms": "0"}})
	resp, err := Dial(t, b.Addr).Call(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		t.Fatal(err)
	}
	w := &walker{t: t, addr: b.Addr, raw: Dial(t, b.Addr)}
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			w.walk(k.ApiKey, v)
		}
	}
	if w.captured < 100 {
		t.Errorf("only %d captures were asked", w.captured)
	}
}

// walker asks on one connection, and on a new one where that was closed.
type walker struct {
	t        *testing.T
	addr     string
	raw      *Raw
	captured int
}

func (w *walker) walk(key, version int16) {
	name := fmt.Sprintf("%s v%d", kmsg.NameForKey(key), version)
	body := func(fill func(v reflect.Value)) kmsg.Request { return Body(key, version, fill) }
	for _, kind := range []string{"good", "refused"} {
		if req := w.capture(key, version, kind); req != nil {
			w.captured++
			w.ask(name+" "+kind, req, nil, true)
		}
	}
	w.ask(name+" empty", body(EmptyFields), nil, true)
	w.ask(name+" null", body(NullFields), nil, true)
	w.ask(name+" one of each", body(OneOfEach), nil, true)
	large := func(frame []byte) []byte { return append(frame, make([]byte, 70_000)...) }
	w.ask(name+" too large", body(EmptyFields), large, key == 0 || key == 1) // Produce and Fetch are no control frames: bytes behind them are ignored
}

// ask sends and wants an answer that reads back, or a closed connection.
func (w *walker) ask(name string, req kmsg.Request, tamper func([]byte) []byte, answered bool) {
	w.t.Helper()
	w.raw.Tamper = tamper
	resp, err := w.raw.Call(req)
	if err == nil && answered {
		if again := resp.AppendTo(nil); reflect.TypeOf(resp) != reflect.TypeOf(req.ResponseKind()) || len(again) == 0 && req.Key() != 0 {
			w.t.Errorf("%s: answered %T of %d bytes", name, resp, len(again))
		}
		return
	}
	if err == nil || answered {
		w.t.Errorf("%s: %v; want an answer: %t", name, err, answered)
	} else if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		w.t.Errorf("%s: %v", name, err)
	}
	w.raw = Dial(w.t, w.addr)
}

// capture is the request of a capture, nil where there is none.
func (w *walker) capture(key, version int16, kind string) kmsg.Request {
	w.t.Helper()
	root, err := Root()
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "testdata", "wire", strings.ToLower(kmsg.NameForKey(key)), fmt.Sprintf("v%d_%s.txt", version, kind)))
	if err != nil {
		return nil
	}
	_, hexes, _ := strings.Cut(string(text), "request\n")
	hexes, _, _ = strings.Cut(hexes, "response\n")
	frame, err := hex.DecodeString(strings.ReplaceAll(hexes, "\n", ""))
	if err != nil || len(frame) < 10 {
		w.t.Fatalf("capture %s v%d %s: %v", kmsg.NameForKey(key), version, kind, err)
	}
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	body := 10 + int(frame[8])<<8 + int(frame[9]) // behind the client id
	if req.IsFlexible() {
		body++
	}
	if err := req.ReadFrom(frame[body:]); err != nil {
		w.t.Fatalf("capture %s v%d %s: %v", kmsg.NameForKey(key), version, kind, err)
	}
	return req
}
