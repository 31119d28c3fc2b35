// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// A log is appended to and removed while a checkpoint is being made: its
// records and its removal stand behind the checkpoint's position, so the
// checkpoint must still know it. Start after a crash finds no damage, and the
// log does not come back.
func TestRemoveWithinCheckpoint(t *testing.T) {
	mem := memDir(t)
	var hook atomic.Pointer[func()]
	r := newRig(t, vfs.Inject(mem, func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			if fn := hook.Swap(nil); fn != nil {
				(*fn)()
			}
		}
		return nil
	}))
	r.open()
	keeps, goes := r.create(1, "keeps", 0), r.create(2, "goes", 0)
	r.append(keeps, records(1, "first"), 0)
	r.append(goes, records(1, "first"), 0)
	r.wait(keeps)
	r.wait(goes)
	removed := make(chan error, 1)
	within := func() { // the checkpoint has its position, and syncs the first log
		r.append(goes, records(1, "second"), 0)
		r.wait(goes)
		_, before, _ := r.d.journal.Load().Durable()
		go func() { removed <- r.d.Remove(goes) }()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			if _, now, _ := r.d.journal.Load().Durable(); now > before {
				return
			}
			<-time.After(time.Millisecond)
		}
		t.Error("the removal was not journaled")
	}
	hook.Store(&within)
	if err := r.d.checkpoints.now(); err != nil {
		t.Fatal(err)
	}
	clones := []*vfs.Mem{mem.CrashClone(1)}
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	clones = append(clones, mem.CrashClone(2))
	r.close(false)
	for i, clone := range clones {
		s := newRig(t, clone)
		s.open()
		if s.logs["keeps-0"] == nil || i > 0 && s.logs["goes-0"] != nil {
			t.Fatalf("clone %d holds %v", i, s.logs)
		}
		s.close(true)
	}
}
