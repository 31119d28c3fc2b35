// SPDX-License-Identifier: Apache-2.0

package api

import (
	"time"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Reader is what Fetch needs; *replica.Set is one.
type Reader interface {
	Lookup(topic []byte, index int32) *replica.Partition
	LookupID(id meta.TopicID, index int32) *replica.Partition
	Read(r *replica.ReadRequest) (bytes int)
	ReadWaits(r *replica.ReadRequest) bool
	ReadLater(r *replica.ReadRequest, done replica.Task)
	Watch(r *replica.ReadRequest) bool
	Unwatch(r *replica.ReadRequest) (woken bool)
}

// Fetch reads record batches, waiting for some if there are too few.
//
//	v0-3  records of magic 0 (v0, v1) or 1, converted: fetch_down.go
//	v1    throttle time        v3  max bytes of the whole answer
//	v4    isolation level      v5  log start offset     v7  sessions (KIP-227)
//	v9    leader epoch         v10 zstd allowed         v11 rack (nearest replica: not used)
//	v12   flexible, diverging epoch                     v13 topic ids
//	v15   replica state        v16 node endpoints       v17 directory id
//
// Not done here: followers. A replica id is refused, because a client that
// could set it would move the high watermark.
func Fetch(d Deps) Handler {
	f := &fetcher{reader: d.Reader, places: Places{d.Cluster}, config: d.Config, now: d.Now, maxBytes: d.FetchMaxBytes}
	if f.maxBytes <= 0 {
		f.maxBytes = 55 << 20
	}
	f.sessions.init(d.FetchSessions)
	f.downs.gate, f.downs.convert, f.downs.most = d.memory().gate(), d.memory().converted(), min(keptBytes, int64(d.memory()/8))
	return Handler{Key: frame.KeyFetch, Min: 0, Max: frame.MaxFetch, Raw: true, Serve: f.serve}
}

// fetcher is the handler's fixed part.
type fetcher struct {
	reader   Reader
	places   Places
	config   func(*replica.Partition) *engine.Config
	now      func() time.Time
	maxBytes int // fetch.max.bytes
	sessions sessions
	downs    downs
}

// fetchCall is one Fetch on its way: Call.State, used again and again. Nothing
// in it refers to the frame once the partitions are laid out.
type fetchCall struct {
	c       *Call
	f       *fetcher
	req     frame.FetchRequest
	read    replica.ReadRequest
	parts   []fetchPart // beside read.Parts
	names   []byte      // topic names of a fetch without session
	aborted []frame.AbortedTxn
	down    []downPart // beside parts, below v4

	session     *session // nil outside of one
	incremental bool     // answer only what changed
	wait        time.Duration

	parked  bool // the timer runs
	reading bool // the pool reads
	looks   int  // how often it was read since the last wait
	over    bool // ends as soon as the Wake that is under way has come
	gone    bool // nobody waits for the answer

	wake, timeout, abort, loaded, lower, lowered fetchStep
}

// fetchPart is one partition of a fetch.
type fetchPart struct {
	name    []byte
	id      [16]byte
	index   int32
	cached  *sessionPart
	include bool // in the answer
}

// fetchStep is a continuation of a fetchCall: a Task that allocates nothing.
type fetchStep struct {
	s  *fetchCall
	do func(*fetchCall)
}

// Run implements Task.
func (t *fetchStep) Run() { t.do(t.s) }

// state finds the call's state, or makes it.
func (f *fetcher) state(c *Call) *fetchCall {
	if s, ok := c.State.(*fetchCall); ok {
		return s
	}
	s := &fetchCall{c: c, f: f}
	s.wake = fetchStep{s, (*fetchCall).onWake}
	s.timeout = fetchStep{s, (*fetchCall).onTimeout}
	s.abort = fetchStep{s, (*fetchCall).onAbort}
	s.loaded = fetchStep{s, (*fetchCall).onLoaded}
	s.lower = fetchStep{s, (*fetchCall).lowerAll}
	s.lowered = fetchStep{s, (*fetchCall).reply}
	c.State = s
	return s
}

// What Fetch itself finds wrong.
var (
	errFollower  = Fail(frame.TopicAuthorizationFailed, "api: a client may not fetch as a replica")
	errZstdFetch = Fail(frame.UnsupportedCompressionType, "api: zstd needs Fetch v10 or later")
)

func (f *fetcher) serve(c *Call) {
	s := f.state(c)
	s.session, s.incremental, s.parked, s.over, s.gone = nil, false, false, false, false
	s.looks = 0
	if err := s.req.Decode(c.Version, c.Raw); err != nil {
		c.Close(err)
		return
	}
	s.req.Once()
	if refusal := s.refusal(); refusal != nil {
		s.layRequest()
		for i := range s.read.Parts {
			s.refuse(i, refusal)
		}
		s.reply()
		return
	}
	if code := s.enter(); code != frame.None {
		s.replyCode(code)
		return
	}
	if oddIsolation(s) {
		s.replyFault(frame.UnknownServerError)
		return
	}
	s.refuseNegative()
	s.read.MaxBytes = max(0, min(int(s.req.MaxBytes), f.maxBytes))
	s.read.MinBytes = min(int(s.req.MinBytes), s.read.MaxBytes)
	s.read.HardLimit = c.Version < 3
	s.read.ReadCommitted = s.req.Isolation == frame.ReadCommitted
	s.read.Replica, s.read.Home, s.read.Wake = replica.Consumer, c.Home(), &s.wake
	s.wait = time.Duration(s.req.MaxWaitMs) * time.Millisecond
	s.attempt()
}

// refusal is what is wrong with the request as a whole.
func (s *fetchCall) refusal() error {
	if s.req.ReplicaID >= 0 {
		return errFollower
	}
	return nil
}

// refuse makes a partition answer err without being read.
func (s *fetchCall) refuse(i int, err error) {
	p := &s.read.Parts[i]
	p.Partition, p.Err = nil, err
	p.HighWatermark, p.LastStable, p.LogStart, p.DivergingEpoch = -1, -1, -1, -1
	p.Spans, p.Bytes, p.Aborted = p.Spans[:0], 0, p.Aborted[:0]
}

// grow makes room for n partitions. What a part keeps between requests is its
// slices.
func (s *fetchCall) grow(n int) {
	if cap(s.read.Parts) < n {
		s.read.Parts = make([]replica.ReadPart, n)
		s.parts = make([]fetchPart, n)
	}
	s.read.Parts, s.parts = s.read.Parts[:n], s.parts[:n]
}

// layRequest lays out the partitions the request itself names; topic names are
// copied out of the frame.
func (s *fetchCall) layRequest() {
	s.grow(len(s.req.Parts))
	s.names = s.names[:0]
	for t := range s.req.Topics {
		topic := &s.req.Topics[t]
		at := len(s.names)
		s.names = append(s.names, topic.Name...)
		name := s.names[at:len(s.names):len(s.names)]
		for i := topic.First; i < topic.End; i++ {
			in := &s.req.Parts[i]
			s.parts[i] = fetchPart{name: name, id: topic.ID, index: in.Index}
			s.lay(i, in.Offset, in.LeaderEpoch, in.LastFetchedEpoch, in.MaxBytes)
		}
	}
}

// lay prepares partition i for reading.
func (s *fetchCall) lay(i int, offset int64, epoch, last, maxBytes int32) {
	at, p := &s.parts[i], &s.read.Parts[i]
	p.Offset, p.LeaderEpoch, p.LastFetchedEpoch = engine.Offset(offset), engine.Epoch(max(epoch, -1)), engine.Epoch(last)
	p.MaxBytes, p.Err = int(maxBytes), nil
	if s.c.Version >= 13 {
		if p.Partition = s.f.reader.LookupID(meta.TopicID(at.id), at.index); p.Partition == nil {
			p.Err = s.f.places.MissingID(at.id, at.index)
		}
	} else if p.Partition = s.f.reader.Lookup(at.name, at.index); p.Partition == nil {
		p.Err = s.f.places.Missing(at.name, at.index)
	}
	if p.Partition != nil && s.c.Version < 10 {
		if c := s.f.config(p.Partition).Compression; !c.Producer && c.Codec == batch.CodecZstd {
			p.Partition, p.Err = nil, errZstdFetch
		}
	}
}

// attempts bounds how often a fetch reads again because something moved while
// it was about to wait.
const attempts = 16

// attempt reads, and answers or waits.
func (s *fetchCall) attempt() {
	for !s.readLater() {
		if s.take(s.f.reader.Read(&s.read)) {
			return
		}
	}
}

// readLater lets the pool read what would keep the loop waiting; onLoaded goes on.
func (s *fetchCall) readLater() bool {
	if s.reading = s.f.reader.ReadWaits(&s.read); s.reading {
		s.f.reader.ReadLater(&s.read, &s.loaded)
	}
	return s.reading
}

// onLoaded: the pool has read.
func (s *fetchCall) onLoaded() {
	s.reading = false
	switch {
	case s.gone:
		s.read.Release()
		s.forget()
		s.c.Silent()
	case s.over:
		s.answer()
	case !s.take(s.read.Bytes()):
		s.attempt()
	}
}

// take answers with the bytes that were read, or waits for more; false: neither,
// something moved meanwhile.
func (s *fetchCall) take(bytes int) bool {
	if s.looks++; s.enough(bytes) || s.looks >= attempts {
		s.answer()
		return true
	}
	s.read.Release()
	if !s.f.reader.Watch(&s.read) {
		return false
	}
	s.looks = 0
	if !s.parked {
		s.parked = true
		s.c.ReleaseFrame()
		s.c.Park(s.wait, &s.timeout, &s.abort)
	}
	return true
}

// answer replies, by way of the pool where records must be converted.
func (s *fetchCall) answer() {
	if s.c.Version >= 4 {
		s.reply()
		return
	}
	s.c.Unpark()
	if n := len(s.parts); cap(s.down) < n {
		s.down = make([]downPart, n)
	}
	s.down = s.down[:len(s.parts)]
	s.c.Go(&s.lower)
}

// enough tells whether there is an answer to give now: bytes, an error, or no
// wish to wait. As in Kafka a partition that is not here ends no wait for the
// others: a consumer would ask again at once, and again.
func (s *fetchCall) enough(bytes int) bool {
	if bytes >= s.read.MinBytes || s.wait <= 0 {
		return true
	}
	here := 0
	for i := range s.read.Parts {
		p := &s.read.Parts[i]
		if p.Partition == nil {
			continue
		}
		if here++; p.Err != nil || p.DivergingEpoch >= 0 {
			return true
		}
	}
	return here == 0
}

// onWake: there may be enough by now.
func (s *fetchCall) onWake() {
	if s.over {
		s.final()
		return
	}
	s.f.reader.Unwatch(&s.read)
	s.attempt()
}

// onTimeout: the wait is over.
func (s *fetchCall) onTimeout() {
	if s.over = true; !s.reading && !s.f.reader.Unwatch(&s.read) {
		s.final()
	}
}

// onAbort: the client is gone.
func (s *fetchCall) onAbort() {
	s.gone = true
	s.onTimeout()
}

// final answers with whatever there is.
func (s *fetchCall) final() {
	if s.gone {
		s.forget()
		s.c.Silent()
		return
	}
	if !s.readLater() {
		s.f.reader.Read(&s.read)
		s.answer()
	}
}
