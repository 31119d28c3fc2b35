// SPDX-License-Identifier: Apache-2.0

package api

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/frame"
)

// ProducerIDs gives blocks of producer ids that nobody had before; it may block.
type ProducerIDs interface {
	ProducerIDBlock() (start int64, n int32, err error)
}

// InitProducerID gives a producer the id its sequences belong to.
//
//	v1  same as v0    v2  flexible    v3  id and epoch to go on from (KIP-360)
//	v4  PRODUCER_FENCED               v5  same as v4
//
// Not done here: transactional ids; their coordinator is "not available".
func InitProducerID(d Deps) Handler {
	g := &idGiver{blocks: d.ProducerIDs}
	return Handler{Key: 22, Min: 0, Max: 5, Slow: true, Serve: g.serve}
}

// idGiver hands a block out id by id; several pool goroutines use it.
type idGiver struct {
	blocks ProducerIDs
	mu     sync.Mutex
	next   int64
	left   int32
}

func (g *idGiver) serve(c *Call) {
	req := c.Body.(*kmsg.InitProducerIDRequest)
	resp := c.Response().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "",
		c.Version >= 3 && (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		resp.ErrorCode = int16(frame.InvalidRequest)
	case req.TransactionalID != nil:
		resp.ErrorCode = int16(frame.CoordinatorNotAvailable)
	default:
		id, err := g.take()
		if err != nil {
			resp.ErrorCode = int16(frame.CoordinatorNotAvailable) // retried by every client
			break
		}
		resp.ProducerID, resp.ProducerEpoch = id, 0
	}
	c.Reply(resp)
}

// take gives the next id, fetching a block when the last is used up.
func (g *idGiver) take() (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left == 0 {
		start, n, err := g.blocks.ProducerIDBlock()
		if err != nil {
			return 0, err
		}
		g.next, g.left = start, n
	}
	id := g.next
	g.next++
	g.left--
	return id, nil
}
