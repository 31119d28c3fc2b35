// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a real Kafka and its clients said (testdata/wire, taken by cmd/wirecap)
// is decoded and encoded back to the same bytes: headers and the two hot
// messages by this package, every message by kmsg.
func TestCaptures(t *testing.T) {
	n := 0
	err := filepath.WalkDir(filepath.Join("..", "..", "testdata", "wire"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".txt" {
			return err
		}
		n++
		request, response := capture(t, path)
		h, body, err := ReadHeader(request)
		if err != nil {
			t.Errorf("%s: header: %v", path, err)
			return nil
		}
		if again := append(AppendHeader(nil, h), body...); !bytes.Equal(again, request) {
			t.Errorf("%s: the header is %x, encoded back %x", path, request[:len(request)-len(body)], again)
		}
		checkBody(t, path, h, body)
		if response != nil {
			checkAnswer(t, path, h, response)
		}
		return nil
	})
	if err != nil || n < 100 {
		t.Errorf("%d captures, %v", n, err)
	}
}

// The same of what the walk over every version asked (testdata/walk): three
// lines each, version and kind of body, the request and the answer without
// their headers. Where Kafka hung up there is a word instead of an answer.
func TestWalkCaptures(t *testing.T) {
	n := 0
	for key := range int16(100) {
		path := filepath.Join("..", "..", "testdata", "walk", strings.ToLower(kmsg.NameForKey(key))+".txt")
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
		for ; len(lines) >= 3; lines = lines[3:] {
			var h Header
			if _, err := fmt.Sscanf(lines[0], "v%d", &h.Version); err != nil {
				t.Fatalf("%s: %q: %v", path, lines[0], err)
			}
			h.Key = key
			place := path + " " + lines[0]
			if request, err := hex.DecodeString(strings.TrimPrefix(lines[1], "-")); err != nil {
				t.Errorf("%s: request: %v", place, err)
			} else {
				checkBody(t, place, h, request)
			}
			if answer, err := hex.DecodeString(strings.TrimPrefix(lines[2], "-")); err == nil {
				checkAnswer(t, place, h, append(AppendResponseHeader(nil, h), answer...))
				n++
			}
		}
	}
	if n < 1000 {
		t.Errorf("only %d answers", n)
	}
}

func checkBody(t *testing.T, path string, h Header, body []byte) {
	req := kmsg.RequestForKey(h.Key)
	req.SetVersion(h.Version)
	if err := req.ReadFrom(body); err != nil {
		t.Errorf("%s: request: %v", path, err)
	} else if again := req.AppendTo(nil); !bytes.Equal(again, body) {
		t.Errorf("%s: the request is %x, kmsg makes it %x", path, body, again)
	}
	switch h.Key {
	case KeyProduce:
		var q ProduceRequest
		if err := q.Decode(h.Version, body); err != nil || !bytes.Equal(q.AppendTo(nil, h.Version), body) {
			t.Errorf("%s: Produce request: %v", path, err)
		}
	case KeyFetch:
		var q FetchRequest
		if err := q.Decode(h.Version, body); err != nil || !bytes.Equal(q.AppendTo(nil, h.Version), body) {
			t.Errorf("%s: Fetch request: %v, %x is %x", path, err, body, q.AppendTo(nil, h.Version))
		}
	}
}

func checkAnswer(t *testing.T, path string, h Header, response []byte) {
	head := AppendResponseHeader(nil, h)
	if !bytes.HasPrefix(response, head) {
		t.Errorf("%s: the response begins %x, want %x", path, response[:min(len(response), 8)], head)
		return
	}
	body := response[len(head):]
	resp := kmsg.ResponseForKey(h.Key)
	resp.SetVersion(h.Version)
	if err := resp.ReadFrom(body); err != nil {
		t.Errorf("%s: response: %v", path, err)
	} else if again := resp.AppendTo(nil); !bytes.Equal(again, body) {
		t.Errorf("%s: the response is %x, kmsg makes it %x", path, body, again)
	}
	switch h.Key {
	case KeyProduce:
		var q ProduceResponse
		if err := q.Decode(h.Version, body); err != nil || !bytes.Equal(q.AppendTo(nil, h.Version), body) {
			t.Errorf("%s: Produce response: %v, %x is %x", path, err, body, q.AppendTo(nil, h.Version))
		}
	case KeyFetch:
		var q FetchResponse
		if err := q.Decode(h.Version, body); err != nil {
			t.Errorf("%s: Fetch response: %v", path, err)
		}
	}
}

// capture reads a file that wirecap wrote.
func capture(t *testing.T, path string) (request, response []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts, at := map[string][]byte{}, ""
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		if b, err := hex.DecodeString(line); err == nil {
			parts[at] = append(parts[at], b...)
		} else {
			at = line
		}
	}
	return parts["request"], parts["response"]
}
