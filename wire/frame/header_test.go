// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kmsg is the foreign oracle: for every key and version it knows, Flexible must
// agree with it.
func TestFlexibleAgreesWithKmsg(t *testing.T) {
	checked := 0
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		r := kmsg.RequestForKey(key)
		if r == nil {
			continue
		}
		for v := int16(0); v <= r.MaxVersion(); v++ {
			if key >= 53 && key <= 54 && v == 0 {
				continue // kmsg knows no v0 of these two
			}
			r.SetVersion(v)
			if got, want := Flexible(key, v), r.IsFlexible(); got != want {
				t.Errorf("%s v%d: Flexible = %v, kmsg says %v", kmsg.NameForKey(key), v, got, want)
			}
			checked++
		}
	}
	if checked < 200 {
		t.Fatalf("only %d versions were compared", checked)
	}
	if Flexible(-1, 0) {
		t.Error("a negative key is not flexible")
	}
}

// A header written by kmsg's formatter must be read back field by field.
func TestReadHeaderFromKmsg(t *testing.T) {
	for _, tc := range []struct {
		key, version int16
		client       *string
	}{
		{0, 3, kmsg.StringPtr("producer")}, {0, 9, kmsg.StringPtr("producer")}, {1, 4, nil}, {1, 12, kmsg.StringPtr("")},
		{18, 0, kmsg.StringPtr("c")}, {18, 3, kmsg.StringPtr("c")}, {17, 1, kmsg.StringPtr("c")}, {60, 0, nil},
	} {
		req := kmsg.RequestForKey(tc.key)
		req.SetVersion(tc.version)
		var opts []kmsg.RequestFormatterOpt
		if tc.client != nil {
			opts = append(opts, kmsg.FormatterClientID(*tc.client))
		}
		frame := kmsg.NewRequestFormatter(opts...).AppendRequest(nil, req, 77)[4:]
		h, body, err := ReadHeader(frame)
		if err != nil {
			t.Fatalf("key %d v%d: %v", tc.key, tc.version, err)
		}
		if h.Key != tc.key || h.Version != tc.version || h.CorrelationID != 77 {
			t.Errorf("key %d v%d: read %+v", tc.key, tc.version, h)
		}
		if (h.ClientID == nil) != (tc.client == nil) || (tc.client != nil && string(h.ClientID) != *tc.client) {
			t.Errorf("key %d v%d: client id %q", tc.key, tc.version, h.ClientID)
		}
		if want := req.AppendTo(nil); !bytes.Equal(body, want) {
			t.Errorf("key %d v%d: body %x, want %x", tc.key, tc.version, body, want)
		}
		if again := append(AppendHeader(nil, h), body...); !bytes.Equal(again, frame) {
			t.Errorf("key %d v%d: encoded back %x, want %x", tc.key, tc.version, again, frame)
		}
	}
}

// ControlledShutdown v0 alone has no client id; ApiVersions alone never has
// tags in its response header.
func TestHeaderExceptions(t *testing.T) {
	h, body, err := ReadHeader([]byte{0, 7, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1})
	if err != nil || h.ClientID != nil || len(body) != 4 {
		t.Fatalf("controlled shutdown v0: %+v, body %x, %v", h, body, err)
	}
	if got := AppendResponseHeader(nil, Header{Key: 18, Version: 4, CorrelationID: 5}); !bytes.Equal(got, []byte{0, 0, 0, 5}) {
		t.Errorf("ApiVersions response header %x", got)
	}
	if got := AppendResponseHeader(nil, Header{Key: 0, Version: 9, CorrelationID: 5}); !bytes.Equal(got, []byte{0, 0, 0, 5, 0}) {
		t.Errorf("flexible response header %x", got)
	}
}

// Twenty million tagged fields claimed in a header of a few bytes are refused
// at the count; as many really sent are walked without keeping them.
func TestHeaderTagFlood(t *testing.T) {
	head := []byte{0, 18, 0, 3, 0, 0, 0, 1, 0, 1, 'c'}
	if _, _, err := ReadHeader(appendUvarint(bytes.Clone(head), 20_000_000)); err == nil {
		t.Error("a claimed count of 20,000,000 tags in an empty rest was accepted")
	}
	const tags = 1 << 20
	flood := appendUvarint(bytes.Clone(head), tags)
	for i := uint32(0); i < tags; i++ {
		flood = append(appendUvarint(flood, i), 0)
	}
	if n := testing.AllocsPerRun(5, func() {
		if _, _, err := ReadHeader(flood); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("walking %d tags allocated %v times", tags, n)
	}
}

// Every prefix of a good header is refused, none panics.
func TestTruncatedHeader(t *testing.T) {
	whole := AppendHeader(nil, Header{Key: 1, Version: 12, CorrelationID: 9, ClientID: []byte("client")})
	for n := range whole {
		if _, _, err := ReadHeader(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for a header", n, len(whole))
		}
	}
}
