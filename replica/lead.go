// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// Leadership is the controller's decision that this broker leads a partition.
type Leadership struct {
	ID             meta.Partition
	Topic          meta.TopicID
	Epoch          engine.Epoch
	PartitionEpoch int32
	ISR, Replicas  []meta.BrokerID // this broker included
	MinISR         int             // min.insync.replicas; never asked above len(Replicas)
	New            bool            // it was made just now: its log cannot stand in a directory that is offline
	Config         *engine.Config
}

func (l *Leadership) state() *leadership {
	return &leadership{
		epoch: l.Epoch, partitionEpoch: l.PartitionEpoch,
		isr: slices.Clone(l.ISR), replicas: slices.Clone(l.Replicas),
		minISR: min(l.MinISR, len(l.Replicas)),
	}
}

// Found is a log on disk, and where. Foreign tells that it was loaded and that
// another broker had it open since this one did; Epoch is its latest leader
// epoch if it was loaded, -1 if not.
type Found struct {
	Dir *dir.Dir
	dir.Found
	Foreign bool
	Epoch   engine.Epoch
}

// NewSet makes an empty Set over opened directories. Recover comes next.
func NewSet(o Options) *Set {
	if o.RetentionCheck == 0 {
		o.RetentionCheck = 5 * time.Minute
	}
	if o.ProducerCheck == 0 {
		o.ProducerCheck = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Set{o: o, known: map[meta.Partition]located{}, logs: make([]int, len(o.Dirs))}
	s.table.seed = maphash.MakeSeed()
	if o.FirstRetention > 0 {
		s.nextExpire.Store(o.Now().Add(o.FirstRetention).UnixMilli())
	}
	s.nextProducers.Store(o.Now().Add(o.ProducerCheck).UnixMilli())
	for i, d := range o.Dirs {
		for _, f := range d.Found() {
			id := meta.Partition{Topic: f.Topic, Index: f.Partition}
			if other, ok := s.known[id]; ok {
				s.doubles = append(s.doubles, fmt.Errorf("replica: %v stands in both %s and %s", id, o.Dirs[other.place].Path(), d.Path()))
			}
			s.known[id] = located{place: i, source: source{found: f}}
			s.logs[i]++
		}
		d.SetHighWatermarks(func() map[dir.Partition]int64 { return s.watermarks(d) })
	}
	return s
}

// Recover loads the logs that need recovery, several at once, and replays the
// journals. config gives a log's settings; nil means the engine's defaults. It
// comes first and on an ordinary goroutine; it fails when a log stands in two
// directories or a journal cannot be replayed. Found tells then what lies in
// the directories, which still speak of their last user.
func (s *Set) Recover(config func(id meta.Partition) *engine.Config) error {
	if len(s.doubles) > 0 {
		return errors.Join(s.doubles...)
	}
	var wait sync.WaitGroup
	logs := make([][]*dir.Log, len(s.o.Dirs))
	errs := make([]error, 0, len(s.o.Dirs))
	for _, f := range s.Found() {
		if !f.NeedsRecovery {
			continue
		}
		wait.Add(1)
		s.o.Pool(func() {
			defer wait.Done()
			id := meta.Partition{Topic: f.Topic, Index: f.Partition}
			log, err := f.Dir.Load(f.Found, config(id))
			s.mu.Lock()
			defer s.mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("replica: loading %v: %w", id, err))
				return
			}
			at := s.known[id]
			at.log = log
			s.known[id] = at
			logs[at.place] = append(logs[at.place], log)
		})
	}
	wait.Wait()
	for i, d := range s.o.Dirs {
		if len(errs) > 0 {
			break
		}
		if err := d.Replay(logs[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Start starts the directories; appends may begin. It comes between Recover and
// the first Lead or Discard, when the metadata store knows what was found: from
// here on a log that it does not know counts as being deleted.
func (s *Set) Start() error {
	for _, d := range s.o.Dirs {
		if err := d.Start(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) knownIDs() []meta.Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]meta.Partition, 0, len(s.known))
	for id := range s.known {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, comparePartitions)
	return ids
}

// Found lists the logs on disk that no Lead has claimed, by topic and index.
func (s *Set) Found() []Found {
	var all []Found
	for _, id := range s.knownIDs() {
		s.mu.Lock()
		if at, ok := s.known[id]; ok {
			f := Found{Dir: s.o.Dirs[at.place], Found: at.found, Epoch: -1}
			if at.log != nil {
				f.Foreign, f.Epoch = at.log.Foreign(), at.log.LastEpoch()
			}
			all = append(all, f)
		}
		s.mu.Unlock()
	}
	return all
}

// Discard removes a log on disk that no Lead has claimed: its deletion was cut
// short. Slow.
func (s *Set) Discard(id meta.Partition) error {
	at, ok := s.claim(id)
	if !ok {
		return fmt.Errorf("%w: %v", ErrUnknownPartition, id)
	}
	d := s.o.Dirs[at.place]
	if at.log == nil {
		var err error
		if at.log, err = d.Load(at.found, nil); err != nil {
			return err
		}
	}
	err := d.Remove(at.log)
	if err == nil {
		s.forget(at.place)
	}
	return err
}

func (s *Set) claim(id meta.Partition) (located, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.known[id]
	delete(s.known, id)
	return at, ok
}

// Lead makes this broker the leader of a partition: it finds or creates the log
// and begins the epoch in it. A log that is on disk already is opened when it
// is first needed. One that is not new and not found stands in a directory that
// could not be opened, if there is such a one: it answers ErrStorage, and so does
// Lead. Leading again needs a newer epoch. Slow: any goroutine but a loop.
func (s *Set) Lead(l Leadership) error {
	s.changing.lock(l.ID)
	defer s.changing.unlock(l.ID)
	if p := s.Lookup([]byte(l.ID.Topic), l.ID.Index); p != nil {
		if p.topicID != l.Topic {
			return fmt.Errorf("%w: %v is led with %v, not %v", ErrInconsistentTopic, l.ID, p.topicID, l.Topic)
		}
		return p.leadAgain(l)
	}
	p := s.newPartition(l)
	if at, ok := s.claim(l.ID); ok {
		if id := meta.TopicID(at.found.ID); !id.IsZero() && id != l.Topic {
			s.mu.Lock()
			s.known[l.ID] = at
			s.mu.Unlock()
			return fmt.Errorf("%w: the log of %v has %v, not %v", ErrInconsistentTopic, l.ID, id, l.Topic)
		}
		p.dir, p.place = s.o.Dirs[at.place], at.place
		p.source = at.source
		return s.publish(p)
	}
	if place := s.lost(); place >= 0 && !l.New {
		return s.leadOffline(p, place)
	}
	place, err := s.chooseDir()
	if err != nil {
		return fmt.Errorf("%w: %v", err, l.ID)
	}
	p.dir, p.place = s.o.Dirs[place], place
	p.source.found = dir.Found{Topic: l.ID.Topic, Partition: l.ID.Index, ID: l.Topic, Name: l.ID.String(), Known: true}
	log, err := p.dir.Create(l.Topic, l.ID.Topic, l.ID.Index, l.Config)
	if err == nil {
		p.queue.hold()
		err = p.turn.attach(log)
		p.release()
	}
	if err != nil {
		s.forget(place)
		return storageError(err)
	}
	return s.publish(p)
}

// lost is the first directory that could not be opened, -1 if all were.
func (s *Set) lost() int { return slices.IndexFunc(s.o.Dirs, dir.IsLost) }

// leadOffline publishes a partition whose log is out of reach.
func (s *Set) leadOffline(p *Partition, place int) error {
	p.dir, p.place = s.o.Dirs[place], place
	err := storageError(p.dir.Err())
	p.down.Store(&err)
	s.mu.Lock()
	s.logs[place]++
	s.mu.Unlock()
	return errors.Join(s.publish(p), err)
}

// newPartition makes a partition nobody knows yet.
func (s *Set) newPartition(l Leadership) *Partition {
	p := &Partition{set: s, id: l.ID, topicID: l.Topic}
	p.queue.init()
	p.hw.Store(-1)
	p.lead.Store(l.state())
	p.config.Store(l.Config)
	p.durableOp.do, p.openOp.do, p.tickOp.do = &p.durableOp, &p.openOp, &p.tickOp
	t := &p.turn
	t.p, t.task.t, t.drainAll, t.workAll, t.writeAll, t.flushAll = p, t, t.drain, t.work, t.write, t.flush
	s.mu.Lock()
	p.home = s.o.Homes[s.homes%len(s.o.Homes)]
	s.homes++
	s.mu.Unlock()
	return p
}

// publish lets p be found. A Set that is closing takes none.
func (s *Set) publish(p *Partition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.table.put(p.id, p.topicID, p)
	return nil
}

// chooseDir picks the directory for a new log: as Kafka does, the one with the
// fewest; among equals the one with the most room. The log counts from now on,
// so that logs made at the same time spread, too.
func (s *Set) chooseDir() (place int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var online []int
	for i, d := range s.o.Dirs {
		if d.Err() == nil {
			online = append(online, i)
		}
	}
	if len(online) == 0 {
		return 0, fmt.Errorf("%w: no log directory is online", ErrStorage)
	}
	place = slices.MinFunc(online, func(a, b int) int {
		if c := cmp.Compare(s.logs[a], s.logs[b]); c != 0 {
			return c
		}
		return cmp.Compare(free(s.o.Dirs[b]), free(s.o.Dirs[a]))
	})
	s.logs[place]++
	return place, nil
}

// forget takes a log that is gone out of its directory's count.
func (s *Set) forget(place int) {
	s.mu.Lock()
	s.logs[place]--
	s.mu.Unlock()
}

// free is the bytes free in a directory, 0 when it does not say.
func free(d *dir.Dir) int64 {
	n, _, err := d.Usage()
	if err != nil {
		return 0
	}
	return n
}

// leadAgain gives a partition that is led already a newer epoch.
func (p *Partition) leadAgain(l Leadership) error {
	o := &leadOp{next: l.state(), config: l.Config, done: make(chan error, 1)}
	o.do = o
	p.send(&o.node)
	return <-o.done
}

// leadOp changes leadership in a turn.
type leadOp struct {
	node
	next   *leadership
	config *engine.Config
	done   chan error
}

func (o *leadOp) step(t *Turn) {
	p := t.p
	if err := t.Err(); err != nil {
		o.done <- err
		return
	}
	if now := p.LeaderEpoch(); o.next.epoch <= now {
		o.done <- fmt.Errorf("%w: %d for %v, which is at %d", ErrStaleEpoch, o.next.epoch, p.id, now)
		return
	}
	t.write() // with the old epoch
	t.park(func() {
		log := p.log.Load()
		err := log.BeginEpoch(o.next.epoch)
		if err == nil {
			o.next.start = log.End()
			p.lead.Store(o.next)
			p.config.Store(o.config)
			log.SetConfig(o.config)
			t.followers, t.shaken = nil, true
			p.set.o.Events.led(p.id, o.next.epoch, o.next.start)
		}
		t.checkDir()
		o.done <- err
	})
}

func (o *leadOp) fail(_ *Turn, err error) { o.done <- err }

// Stop ends a replica; with remove its log is deleted. What waits or comes
// later fails with ErrNotLeader, or ErrDeleted. Slow: any goroutine but a loop.
func (s *Set) Stop(id meta.Partition, remove bool) error {
	s.changing.lock(id)
	defer s.changing.unlock(id)
	p := s.Lookup([]byte(id.Topic), id.Index)
	if p == nil {
		return fmt.Errorf("%w: %v", ErrUnknownPartition, id)
	}
	s.mu.Lock()
	s.table.put(id, p.topicID, nil)
	s.mu.Unlock()
	err := p.stop(&stopOp{err: errLeft(remove), remove: remove})
	if err == nil && !remove { // its log may be led again
		s.mu.Lock()
		s.known[id] = located{place: p.place, source: p.source}
		s.mu.Unlock()
	} else if err == nil {
		s.forget(p.place)
	}
	s.o.Events.stopped(id, remove)
	return err
}

func (p *Partition) stop(o *stopOp) error {
	o.do, o.done = o, make(chan error, 1)
	p.send(&o.node)
	return <-o.done
}

// Configure replaces the settings of a topic's logs and its min.insync.replicas,
// which is never asked above the number of replicas.
func (s *Set) Configure(topic string, c *engine.Config, minISR int) {
	t := s.table.byName([]byte(topic))
	if t == nil {
		return
	}
	for _, p := range t.parts {
		if p != nil {
			p.config.Store(c)
			o := &configOp{minISR: minISR}
			o.do = o
			p.send(&o.node)
		}
	}
}

// configOp hands the newest settings to the log, and to the turn what is not
// the log's. When fewer replicas are enough than before, the high watermark
// moves with the end of this stretch.
type configOp struct {
	node
	minISR int
}

func (o *configOp) step(t *Turn) {
	lead := *t.p.lead.Load()
	lead.minISR = min(o.minISR, len(lead.replicas))
	t.p.lead.Store(&lead)
	if log := t.p.log.Load(); log != nil {
		t.write() // staged under the old ones
		log.SetConfig(t.p.config.Load())
	}
}

func (o *configOp) fail(*Turn, error) {}

// Close ends all turns: what waits or comes later fails with ErrClosed. The logs
// stay open; their directories close them. Any goroutine but a loop.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, p := range s.Partitions() {
		_ = p.stop(&stopOp{err: ErrClosed}) // nothing is removed, so nothing fails
	}
}
