// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// FuzzHeader: any bytes are a header or an error; a header read is a header
// that can be written.
func FuzzHeader(tf *testing.F) {
	f := hostiletest.New(tf)
	f.Add(AppendHeader(nil, Header{Key: 0, Version: 3, CorrelationID: 1, ClientID: []byte("c")}))
	f.Add(AppendHeader(nil, Header{Key: 1, Version: 12, CorrelationID: 1}))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte{0, 7, 0, 0, 0, 0, 0, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body, err := ReadHeader(b)
		if err != nil {
			return
		}
		again, rest, err := ReadHeader(append(AppendHeader(nil, h), body...))
		if err != nil || again.Key != h.Key || again.CorrelationID != h.CorrelationID || !bytes.Equal(again.ClientID, h.ClientID) || !bytes.Equal(rest, body) {
			t.Fatalf("%+v became %+v (%v)", h, again, err)
		}
	})
}

// FuzzProduceRequest: what we accept, kmsg reads the same way.
func FuzzProduceRequest(tf *testing.F) {
	f := hostiletest.New(tf)
	r := rand.New(rand.NewPCG(13, 14))
	for version := int16(MinProduce); version <= MaxProduce; version++ {
		f.Add(version, kmsgProduceRequest(r, version).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, b []byte) {
		var q ProduceRequest
		if len(b) > 1<<16 || q.Decode(version, b) != nil {
			return
		}
		k := kmsg.NewPtrProduceRequest()
		k.Version = version
		canonical := q.AppendTo(nil, version)
		if err := k.ReadFrom(canonical); err != nil {
			t.Fatalf("kmsg refuses what we encoded: %v", err)
		}
		checkProduceRequest(t, k, &q)
	})
}

// FuzzFetchRequest: what we accept, kmsg reads the same way.
func FuzzFetchRequest(tf *testing.F) {
	f := hostiletest.New(tf)
	r := rand.New(rand.NewPCG(15, 16))
	for version := int16(MinFetch); version <= MaxFetch; version++ {
		f.Add(version, kmsgFetchRequest(r, version).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, b []byte) {
		var q FetchRequest
		if len(b) > 1<<16 || q.Decode(version, b) != nil {
			return
		}
		k := kmsg.NewPtrFetchRequest()
		k.Version = version
		if err := k.ReadFrom(q.AppendTo(nil, version)); err != nil {
			t.Fatalf("kmsg refuses what we encoded: %v", err)
		}
		checkFetchRequest(t, k, &q)
	})
}

// FuzzProduceResponse and FuzzFetchResponse: responses come from brokers, which
// are outside too.
func FuzzProduceResponse(tf *testing.F) {
	f := hostiletest.New(tf)
	r := rand.New(rand.NewPCG(17, 18))
	for version := int16(MinProduce); version <= MaxProduce; version++ {
		f.Add(version, randomProduceResponse(r).AppendTo(nil, version))
	}
	f.Fuzz(func(t *testing.T, version int16, b []byte) {
		var q, again ProduceResponse
		if len(b) > 1<<16 || q.Decode(version, b) != nil {
			return
		}
		once := q.AppendTo(nil, version)
		if err := again.Decode(version, once); err != nil {
			t.Fatalf("cannot read our own: %v", err)
		}
		if !bytes.Equal(again.AppendTo(nil, version), once) {
			t.Fatal("encoding is not stable")
		}
	})
}

// FuzzFetchResponse: see FuzzProduceResponse.
func FuzzFetchResponse(tf *testing.F) {
	f := hostiletest.New(tf)
	r := rand.New(rand.NewPCG(19, 20))
	for version := int16(MinFetch); version <= MaxFetch; version++ {
		f.Add(version, appendFetch(nil, version, randomFetchResponse(r)))
	}
	f.Fuzz(func(t *testing.T, version int16, b []byte) {
		var q, again FetchResponse
		if len(b) > 1<<16 || q.Decode(version, b) != nil {
			return
		}
		once := appendFetch(nil, version, &q)
		if err := again.Decode(version, once); err != nil {
			t.Fatalf("cannot read our own: %v", err)
		}
		if !bytes.Equal(appendFetch(nil, version, &again), once) {
			t.Fatal("encoding is not stable")
		}
	})
}
