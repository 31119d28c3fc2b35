// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/netpoll"
)

// loops are the broker's event loops, running.
type loops struct {
	all []netpoll.Loop
	wg  sync.WaitGroup
}

// openLoops opens and runs n loops (0: half the cores, at least one) of a
// backend. Why a better backend was not taken is logged once.
func openLoops(backend string, n int, log *slog.Logger) (*loops, error) {
	if n == 0 {
		n = max(1, runtime.NumCPU()/2)
	}
	runtime.GOMAXPROCS(netpoll.Procs(n))
	ls := &loops{}
	for i := range n {
		l, refused, err := netpoll.Open(netpoll.Options{Backend: backend})
		if err != nil {
			ls.close()
			return nil, fmt.Errorf("samsa.netpoll=%s: %w", backend, err)
		}
		if i == 0 {
			for _, r := range refused {
				log.Info("netpoll: " + r.String())
			}
		}
		ls.all = append(ls.all, l)
		ls.wg.Add(1)
		go func() {
			defer ls.wg.Done()
			if err := l.Run(); err != nil && !errors.Is(err, netpoll.ErrClosed) {
				panic(fmt.Sprintf("FATAL: event loop %d: %v", i, err))
			}
		}()
	}
	return ls, nil
}

// close ends the loops and waits for them.
func (ls *loops) close() {
	for _, l := range ls.all {
		_ = l.Close()
	}
	ls.wg.Wait()
}

// loopWriter writes one directory's journal through a loop. The journal has
// one write in flight and asks for one call at a time, so one operation and one
// message are enough. It is the journal's Scheduler too: an idle journal writes
// when the loop has done the work at hand, so that what the requests of one
// iteration append to several partitions shares the write.
type loopWriter struct {
	loop netpoll.Loop
	op   netpoll.Op
	done func(error)
	seen bool // op.Blocking says what the directory's file system is like
	call loopCall
}

// loopCall runs a func on a loop.
type loopCall struct{ fn func() }

// Run implements netpoll.Message.
func (c *loopCall) Run() { c.fn() }

// newLoopWriter returns the writer of a directory on its home loop.
func newLoopWriter(l netpoll.Loop) *loopWriter {
	w := &loopWriter{loop: l}
	w.op.Done = w.written
	return w
}

// WriteDurable implements journal.Writer. Files that have no descriptor are
// written by a goroutine.
func (w *loopWriter) WriteDurable(f vfs.File, p []byte, off int64, done func(error)) {
	fd, ok := f.FD()
	if !ok {
		go func() { done(f.WriteDurableAt(p, off)) }()
		return
	}
	if !w.seen {
		w.seen, w.op.Blocking = true, writesBlock(fd)
	}
	w.done = done
	w.op.Kind, w.op.File, w.op.Data, w.op.Off = netpoll.WriteFile, fd, p, off
	if w.loop.OnLoop() {
		w.Run()
	} else {
		w.loop.Post(w)
	}
}

// Schedule implements journal.Scheduler.
func (w *loopWriter) Schedule(fn func()) {
	w.call.fn = fn
	w.loop.Post(&w.call)
}

// Run implements netpoll.Message: operations are submitted on the loop.
func (w *loopWriter) Run() { w.loop.Submit(&w.op) }

func (w *loopWriter) written(op *netpoll.Op) {
	err := op.Err
	if err == nil && op.N != len(op.Data) {
		err = fmt.Errorf("samsa: journal: wrote %d of %d bytes", op.N, len(op.Data))
	}
	w.done(err)
}
