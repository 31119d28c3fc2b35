// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/samsa-broker/samsa/engine/producer"
)

const day = 24 * time.Hour

// Open opens the log in dir, which exists; an empty directory is an empty log.
// With o.Clean nothing but names, sizes, the newest snapshot and the epoch file
// is read. Otherwise the log is recovered: what follows o.RecoveryPoint is
// checked, and cut at the first bad batch. The files follow the rules of
// Kafka's LogLoader.
func Open(dir string, o Options) (*Log, error) {
	l := newLog(dir, &o)
	began := l.now()
	found, err := l.folder.list(&l.shelf.env)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	ld := loader{log: l, shelf: &l.shelf, history: &l.history, epochs: &l.epochs, options: &o}
	ld.recovery.Clean = o.Clean
	if err := ld.load(found); err != nil {
		for _, s := range l.shelf.segments() {
			s.Close()
		}
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	r := ld.recovery
	r.End, r.Took = l.End(), l.now().Sub(began)
	if l.events.Recovered != nil && (!r.Clean || r.BytesRead > 0 || r.Reason != "") {
		l.events.Recovered(dir, r)
	}
	return l, nil
}

func newLog(dir string, o *Options) *Log {
	l := &Log{now: o.Now}
	if l.now == nil {
		l.now = time.Now
	}
	if o.Events != nil {
		l.events = *o.Events
	}
	if o.Config == nil {
		o.Config = DefaultConfig()
	}
	rebuilt := func(what string, why error) {
		if l.events.Rebuilt != nil {
			l.events.Rebuilt(dir, what, why.Error())
		}
	}
	l.folder.fs, l.folder.dir = o.FS, dir
	l.fence.dir, l.fence.failed = dir, l.events.Failed
	l.epochs.folder = &l.folder
	l.epochs.list.Store(&[]epochEntry{})
	h := &l.history
	h.folder, h.now, h.expiryMs, h.rebuilt, h.producers = &l.folder, l.now, o.ProducerExpiryMs, rebuilt, producer.NewState()
	if h.expiryMs == nil {
		h.expiryMs = day.Milliseconds
	}
	sh := &l.shelf
	sh.env.FS, sh.env.Dir, sh.env.Limit, sh.env.Rebuilt = o.FS, dir, o.Descriptors, rebuilt
	sh.folder, sh.fence, sh.now, sh.rolled = &l.folder, &l.fence, l.now, l.events.Rolled
	sh.view.Store(&View{shelf: sh})
	l.staging.log = l
	l.SetConfig(o.Config)
	return l
}
