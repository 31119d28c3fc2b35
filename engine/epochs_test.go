// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"testing"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// FuzzDecodeEpochs: what is read is written back the same, and nothing panics.
func FuzzDecodeEpochs(tf *testing.F) {
	f := hostiletest.New(tf)
	f.Add([]byte("0\n2\n1 0\n3 77\n"))
	f.Add([]byte("0\n0\n"))
	f.Add([]byte("0\n1\n-1 5\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeEpochs(b)
		if err != nil {
			return
		}
		again, err := decodeEpochs(encodeEpochs(list))
		if err != nil || len(again) != len(list) {
			t.Fatal(list, again, err)
		}
		if !bytes.Equal(encodeEpochs(again), encodeEpochs(list)) {
			t.Fatal("not the same twice")
		}
	})
}
