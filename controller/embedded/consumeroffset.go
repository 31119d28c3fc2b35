// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"strings"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// ConsumerOffsets are what groups of the first consumers keep in ZooKeeper, apart
// from the offsets of the group coordinator. As there, nothing removes them:
// neither the deletion of the topic, whose successor's readers find them, nor
// any request. Any goroutine, once the edge is started.
type ConsumerOffsets struct{ edge *Edge }

// NewConsumerOffsets gives the offsets in an edge's store.
func NewConsumerOffsets(e *Edge) ConsumerOffsets { return ConsumerOffsets{e} }

// Store keeps how far a group has read, all of it in one
// transaction, which is on disk when it returns; the last word on a partition
// counts. It fails as a whole; Err of the offsets is not touched.
func (c ConsumerOffsets) Store(group string, offsets []meta.ConsumerOffset) error {
	e := c.edge
	if !e.serving.Load() {
		return meta.ErrStopped
	}
	paths := make([]string, len(offsets))
	for i, o := range offsets {
		var err error
		if paths[i], err = controller.PathConsumerOffset(group, o.Partition); err != nil {
			return err
		}
	}
	err := e.store.update(func(t *txn) error {
		for i, path := range paths {
			if err := t.ensureParents(path); err != nil {
				return err
			}
			if _, err := t.set(path, controller.EncodeConsumerOffset(offsets[i].Offset), -1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return e.refusedBeside(err)
	}
	return nil
}

// Load fills in how far a group has read, or the error of that
// one: meta.ErrNoOffset where nothing is stored.
func (c ConsumerOffsets) Load(group string, offsets []meta.ConsumerOffset) error {
	err := c.edge.store.view(func(t *txn) error {
		for i := range offsets {
			o := &offsets[i]
			o.Offset, o.Err = loadConsumerOffset(t, group, o.Partition)
		}
		return nil
	})
	if err != nil {
		return storageError(err)
	}
	return nil
}

func loadConsumerOffset(t *txn, group string, p meta.Partition) (int64, error) {
	path, err := controller.PathConsumerOffset(group, p)
	if err != nil {
		return -1, err
	}
	n, ok, err := t.get(path)
	if err != nil {
		return -1, storageError(err)
	}
	if !ok || n.flags&flagNull != 0 { // null: another group's name has this path in it
		return -1, meta.ErrNoOffset
	}
	offset, err := controller.DecodeConsumerOffset(n.data)
	if err != nil {
		return -1, storageError(err)
	}
	return offset, nil
}

// ensureParents creates the nodes above a path that are missing.
func (t *txn) ensureParents(path string) error {
	parent := path[:strings.LastIndexByte(path, '/')]
	if parent == "" || t.nodes.Get([]byte(parent)) != nil {
		return nil
	}
	if err := t.ensureParents(parent); err != nil {
		return err
	}
	return t.create(parent, nil, 0)
}
