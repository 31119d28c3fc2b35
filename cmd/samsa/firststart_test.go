// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/loggers"
	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

var errDied = errors.New("the process died here")

// dying lets every change of the disk before the at-th happen, and none from it
// on: what a kill leaves. 0: it does not die.
func dying(at int64) (fsys vfs.FS, changes *atomic.Int64) {
	changes = new(atomic.Int64)
	return vfs.Inject(vfs.OS(), func(op vfs.Op) error {
		if op.Kind.Changes() && changes.Add(1) >= at && at > 0 {
			return errDied
		}
		return nil
	}), changes
}

// startOn starts a broker on directories below root.
func startOn(t *testing.T, fsys vfs.FS, root string) (*broker, error) {
	t.Helper()
	conf, _, err := config.LoadFile("", []string{
		"log.dirs=" + filepath.Join(root, "a") + "," + filepath.Join(root, "b"), "listeners=PLAINTEXT://127.0.0.1:0",
		"samsa.admin.listener=none", "samsa.journal.bytes=1048576", "samsa.event.loops=1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return openBroker(conf, loggers.New(io.Discard), fsys)
}

// dieAtEveryChange prepares directories, kills a start on them at its first
// change of the disk, and in directories of their own at its second, until it
// gets through; check sees the broker that the next start makes.
func dieAtEveryChange(t *testing.T, prepare func(root string), check func(at int64, b *broker)) {
	for at := int64(1); !t.Failed(); at++ {
		root := t.TempDir()
		prepare(root)
		fsys, changes := dying(at)
		b, err := startOn(t, fsys, root)
		through := changes.Load() < at
		if err == nil {
			_ = b.close(context.Background()) // it may not write
		}
		if b, err = startOn(t, vfs.OS(), root); err != nil {
			t.Fatalf("death at change %d: the next start: %v", at, err)
		}
		check(at, b)
		if err := b.close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if through {
			t.Logf("a start changes the disk %d times", at-1)
			if at < 20 {
				t.Errorf("only %d changes: the test proves nothing", at-1)
			}
			return
		}
	}
}

// A first start that dies leaves directories that the next one takes, wherever
// it dies: none of them names a store that never came to be.
func TestDeathInAFirstStart(t *testing.T) {
	dieAtEveryChange(t, func(string) {}, func(at int64, b *broker) {
		for _, name := range []string{"a", "b"} {
			if r := b.edge.CreateTopics(newTopics(name), false); r[0].Err != nil {
				t.Errorf("death at change %d: create %s: %v", at, name, r[0].Err)
			}
		}
	})
}

// A log that another broker made between two starts is adopted, wherever the
// start that finds it dies: it is never taken for one that is being deleted.
func TestDeathBeforeAnAdoption(t *testing.T) {
	const records = 7
	prepare := func(root string) {
		b, err := startOn(t, vfs.OS(), root)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.close(context.Background()); err != nil {
			t.Fatal(err)
		}
		foreignLog(t, filepath.Join(root, "b", "theirs-0"), records)
	}
	dieAtEveryChange(t, prepare, func(at int64, b *broker) {
		if b.edge.Image().Topic("theirs") == nil {
			t.Fatalf("death at change %d: the topic was not adopted", at)
		}
		segment := filepath.Join(b.dirs[1].Path(), "theirs-0", "00000000000000000000.log")
		if info, err := os.Stat(segment); err != nil || info.Size() == 0 {
			t.Errorf("death at change %d: the log of the adopted topic is gone: %v", at, err)
		}
	})
}

// A start that is refused changes nothing of what the next one thinks of logs
// it does not know: they are adopted once the reason is gone.
func TestRefusedStartKeepsStrangers(t *testing.T) {
	root := t.TempDir()
	b, err := startOn(t, vfs.OS(), root)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.close(context.Background()); err != nil {
		t.Fatal(err)
	}
	foreignLog(t, filepath.Join(root, "a", "theirs-0"), 3)
	reason := filepath.Join(root, "a", "other-0") // a topic cannot have partition 200000
	foreignLog(t, reason, 3)
	if err := os.Rename(reason, strings.Replace(reason, "other-0", "other-200000", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := startOn(t, vfs.OS(), root); err == nil || !strings.Contains(err.Error(), "other-200000") {
		t.Fatalf("not refused: %v", err)
	}
	if err := os.RemoveAll(strings.Replace(reason, "other-0", "other-200000", 1)); err != nil {
		t.Fatal(err)
	}
	if b, err = startOn(t, vfs.OS(), root); err != nil {
		t.Fatal(err)
	}
	if b.edge.Image().Topic("theirs") == nil {
		t.Error("the log was taken for one that is being deleted")
	}
	if err := b.close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// foreignLog makes a log of n batches that no journal knows.
func foreignLog(t *testing.T, path string, n int) {
	t.Helper()
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := engine.Open(path, engine.Options{FS: vfs.OS(), Config: engine.DefaultConfig(), Clean: true})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		a := engine.Append{Batches: oneRecord(t), Origin: engine.Client, Epoch: 3}
		if err := l.Stage(&a); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
}

func oneRecord(t *testing.T) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(batch.PlainHeader())
	b.Append(1_700_000_000_000, nil, []byte("theirs"))
	out, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(out)
}

func newTopics(names ...string) (all []meta.NewTopic) {
	for _, name := range names {
		all = append(all, meta.NewTopic{Name: name, Partitions: 2, ReplicationFactor: 1})
	}
	return all
}
