// SPDX-License-Identifier: Apache-2.0

package api

import (
	"sync"

	"github.com/samsa-broker/samsa/engine/batch"
)

// scratches lends the memory that checking batches needs to whoever checks one.
type scratches struct{ pool sync.Pool }

func (s *scratches) get() *batch.Scratch {
	if v, ok := s.pool.Get().(*batch.Scratch); ok {
		return v
	}
	return &batch.Scratch{}
}

func (s *scratches) put(v *batch.Scratch) {
	v.Shrink()
	s.pool.Put(v)
}
