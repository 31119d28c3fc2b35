// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"math/rand/v2"
	"sync"

	"github.com/samsa-broker/samsa/controller"
	"github.com/samsa-broker/samsa/controller/meta"
)

// producerIDs guards the giving out of blocks, apart from other decisions: a
// producer must not wait for a topic to be created.
type producerIDs struct{ mu sync.Mutex }

// Bounds of the first producer id of a new store. Brokers that count from 0
// will not get there, so ids in logs that they wrote, or will write, are not
// given to anyone else.
const (
	firstIDMin = 1 << 40
	firstIDMax = 1 << 50
)

// ProducerIDBlock gives n producer ids, from start on, that nobody had before.
// The block is on disk before it is given.
func (e *Edge) ProducerIDBlock() (start int64, n int32, err error) {
	if !e.serving.Load() {
		return 0, 0, meta.ErrStopped
	}
	if start, err = e.nextBlock(); err != nil {
		return 0, 0, e.refusedBeside(err)
	}
	return start, controller.ProducerIDBlockSize, nil
}

func (e *Edge) nextBlock() (start int64, err error) {
	e.ids.mu.Lock()
	defer e.ids.mu.Unlock()
	err = e.store.update(func(t *txn) error {
		node, _, err := t.get(controller.PathProducerIDs)
		if err != nil {
			return err
		}
		if start, err = controller.DecodeProducerIDs(node.data); err != nil {
			return err
		}
		if len(node.data) == 0 {
			start = firstIDMin + rand.Int64N(firstIDMax-firstIDMin)
			start -= start % controller.ProducerIDBlockSize
		}
		_, err = t.set(controller.PathProducerIDs, controller.EncodeProducerIDs(e.o.Broker.ID, start), -1)
		return err
	})
	return start, err
}

// refusedBeside is refused for what is written without e.mu: a full disk undid
// the write, and nothing in memory has to be.
func (e *Edge) refusedBeside(err error) error {
	if full(err) {
		return storageError(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase == closed {
		return meta.ErrStopped
	}
	return e.refused(err)
}
