// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
)

// Events tells what happens; any field may be nil. They are called in turns and
// on pool goroutines, so they must not block, and must not call back.
type Events struct {
	// Led: the partition serves as leader of epoch from offset start on.
	Led func(id meta.Partition, epoch engine.Epoch, start engine.Offset)
	// Stopped: the partition left the Set; removed tells whether its log did too.
	Stopped func(id meta.Partition, removed bool)
	// Offline: the partition's storage failed; it answers ErrStorage from now on.
	Offline func(id meta.Partition, err error)
	// WriteFailed: an append was refused by the file system and its callers told so.
	WriteFailed func(id meta.Partition, err error)
	// Written: one turn wrote appends in one go.
	Written func(appends int, bytes int)
	// Expired: retention removed segments.
	Expired func(id meta.Partition, segments int)
	// ExpireFailed: retention could not remove what is due.
	ExpireFailed func(id meta.Partition, err error)
}

func (v *Events) led(id meta.Partition, epoch engine.Epoch, start engine.Offset) {
	if v != nil && v.Led != nil {
		v.Led(id, epoch, start)
	}
}

func (v *Events) stopped(id meta.Partition, removed bool) {
	if v != nil && v.Stopped != nil {
		v.Stopped(id, removed)
	}
}

func (v *Events) offline(id meta.Partition, err error) {
	if v != nil && v.Offline != nil {
		v.Offline(id, err)
	}
}

func (v *Events) writeFailed(id meta.Partition, err error) {
	if v != nil && v.WriteFailed != nil {
		v.WriteFailed(id, err)
	}
}

func (v *Events) written(appends, bytes int) {
	if v != nil && v.Written != nil {
		v.Written(appends, bytes)
	}
}

func (v *Events) expired(id meta.Partition, segments int) {
	if v != nil && v.Expired != nil {
		v.Expired(id, segments)
	}
}

func (v *Events) expireFailed(id meta.Partition, err error) {
	if v != nil && v.ExpireFailed != nil {
		v.ExpireFailed(id, err)
	}
}
