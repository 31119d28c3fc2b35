// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// A node's bytes: what is accepted is written back as it was.
func FuzzNode(tf *testing.F) {
	f := hostiletest.New(tf)
	f.Add(node{}.encode())
	f.Add(node{flags: flagEphemeral | flagNull, version: 7, czxid: 1, mzxid: 2, ctime: 3, mtime: 4, data: []byte(`{"a":1}`)}.encode())
	f.Add([]byte{nodeFormat})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(n.encode(), b) {
			t.Errorf("%x became %x", b, n.encode())
		}
	})
}

// The tree behaves as ZooKeeper's: children by name whatever sorts between
// them, versions counted, ephemeral nodes gone with their run.
func TestTree(t *testing.T) {
	w := newWorld(t)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	err := w.edge.store.update(func(tx *txn) error {
		for _, path := range []string{"/t", "/t/a", "/t/a/x", "/t/a/x/y", "/t/a-b", "/t/a.b", "/t/a0", "/t/a0/z"} {
			if err := tx.create(path, []byte("1"), 0); err != nil {
				return err
			}
		}
		if got := tx.children("/t"); !reflect.DeepEqual(got, []string{"a", "a-b", "a.b", "a0"}) {
			t.Errorf("children %v", got)
		}
		if v, err := tx.set("/t/a", []byte("2"), 0); v != 1 || err != nil {
			t.Errorf("set: version %d, %v", v, err)
		}
		if _, err := tx.set("/t/a", []byte("3"), 0); err == nil {
			t.Error("an old version was accepted")
		}
		if err := tx.remove("/t/a"); err != nil {
			return err
		}
		if got := tx.children("/t"); !reflect.DeepEqual(got, []string{"a-b", "a.b", "a0"}) {
			t.Errorf("children after remove %v", got)
		}
		if err := tx.create("/e", nil, flagEphemeral); err != nil {
			return err
		}
		if err := tx.dropEphemeral(); err != nil {
			return err
		}
		if _, ok, err := tx.get("/e"); ok || err != nil {
			t.Errorf("ephemeral node: %t, %v", ok, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
