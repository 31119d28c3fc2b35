// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/host"
)

// sample is one slot, as it is written down.
type sample struct {
	Row       string             `json:"row"`
	Contender string             `json:"contender"`
	Block     int                `json:"block"`
	Order     int                `json:"order"`
	Figures   map[string]float64 `json:"figures,omitempty"`
	CPU       float64            `json:"broker_cpu_s"`
	Client    float64            `json:"client_cpu"` // as a part of one core
	RSS       int64              `json:"rss_bytes"`
	Took      float64            `json:"took_s"`
	Steal     float64            `json:"steal"`       // as a part of all cores' time
	Foreign   float64            `json:"foreign_cpu"` // likewise, of others than broker and client
	Void      string             `json:"void,omitempty"`
	Failed    string             `json:"failed,omitempty"`
}

// contender is a system in one of its ways to keep a promise.
type contender struct {
	name  string
	sys   *system
	flush bool
}

// runner carries a set of rows out against running systems.
type runner struct {
	systems []*system
	blocks  int
	scale   float64
	seed    uint64
	out     io.Writer // JSON lines
	say     func(format string, args ...any)
	began   time.Time
	done    int // slots
	slots   int // in all, as far as is known
}

// contenders of a row.
func (r *runner) contenders(w *row) []contender {
	var out []contender
	for _, s := range r.systems {
		samsa := strings.HasPrefix(s.id, "samsa")
		switch {
		case s.id == "null" && w.flush: // it never syncs
		case w.flush && s.id != "samsa":
			out = append(out, contender{s.id + "+flush", s, true})
		case !w.flush && !samsa && s.id != "null":
			out = append(out, contender{s.id, s, false}, contender{s.id + "+flush", s, true})
		default:
			out = append(out, contender{s.id, s, false})
		}
	}
	return out
}

// count the slots of some rows.
func (r *runner) count(list []row) int {
	n := 0
	for i := range list {
		n += 2 * r.blocks * len(r.contenders(&list[i]))
		if list[i].id == "W9" {
			n += len(r.contenders(&list[i]))
		}
	}
	return n
}

// run carries out every row in mirrored blocks: what drifts with time falls on
// all alike.
func (r *runner) run(ctx context.Context, list []row) error {
	r.began, r.slots = time.Now(), r.count(list)
	for i := range list {
		w := &list[i]
		rng := rand.New(rand.NewPCG(r.seed, uint64(i)))
		cs := r.contenders(w)
		maxes := map[string]float64{}
		if w.id == "W9" {
			if err := r.calibrate(ctx, w, cs, maxes); err != nil {
				return err
			}
		}
		order := 0
		for block := range r.blocks {
			rng.Shuffle(len(cs), func(a, b int) { cs[a], cs[b] = cs[b], cs[a] })
			mirrored := append(slices.Clone(cs), cs...)
			slices.Reverse(mirrored[len(cs):])
			for _, c := range mirrored {
				if err := r.slot(ctx, w, c, block, order, maxes); err != nil {
					return err
				}
				order++
			}
		}
	}
	return nil
}

// calibrate lets every contender show what it manages at most; an open loop
// then runs at a part of the least of them.
func (r *runner) calibrate(ctx context.Context, w *row, cs []contender, maxes map[string]float64) error {
	least := 0.0
	for i, c := range cs {
		got := r.once(ctx, w, c, -1, i, map[string]float64{})
		if err := r.note(got); err != nil {
			return err
		}
		most := got.Figures["most"]
		if c.sys.id != "null" && !c.flush && most > 0 && (least == 0 || most < least) {
			least = most
		}
	}
	if least == 0 {
		return fmt.Errorf("%s: no contender could be calibrated", w.id)
	}
	maxes[""] = least
	return nil
}

// retries of a slot that was disturbed.
const retries = 2

func (r *runner) slot(ctx context.Context, w *row, c contender, block, order int, maxes map[string]float64) error {
	for try := 0; ; try++ {
		got := r.once(ctx, w, c, block, order, maxes)
		if err := r.note(got); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if got.Void == "" || try == retries {
			return nil
		}
		r.slots++
	}
}

// note writes a sample down and tells how far the run is.
func (r *runner) note(s sample) error {
	r.done++
	left := time.Duration(0)
	if r.done > 0 {
		left = time.Since(r.began) / time.Duration(r.done) * time.Duration(max(0, r.slots-r.done))
	}
	what := ""
	for _, name := range slices.Sorted(mapsKeys(s.Figures)) {
		what += fmt.Sprintf(" %s %.4g", name, s.Figures[name])
	}
	switch {
	case s.Failed != "":
		what = " FAILED: " + s.Failed
	case s.Void != "":
		what += " VOID: " + s.Void
	}
	r.say("%3d/%d  about %s left  %-4s %-16s%s", r.done, r.slots, left.Round(time.Second), s.Row, s.Contender, what)
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = r.out.Write(append(b, '\n'))
	return err
}

// once carries one slot out: the system thawed, the others frozen.
func (r *runner) once(ctx context.Context, w *row, c contender, block, order int, maxes map[string]float64) sample {
	got := sample{Row: w.id, Contender: c.name, Block: block, Order: order, Figures: map[string]float64{}}
	if err := c.sys.group.Thaw(); err != nil {
		got.Failed = err.Error()
		return got
	}
	defer func() { _ = c.sys.group.Freeze() }() // a system that cannot be frozen idles beside the others, and its CPU voids their slots
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	settle(ctx)
	s := &slot{ctx: ctx, sys: c.sys, flush: c.flush, scale: r.scale, seed: r.seed + uint64(order), maxes: maxes, figures: got.Figures,
		topic: fmt.Sprintf("bench-%s-%d-%d-%d", strings.ToLower(w.id), block+1, order, r.done)}
	spent, broker, client, began := host.Spent(), c.sys.group.CPU(), ownCPU(), time.Now()
	err := w.run(s)
	got.Took = time.Since(began).Seconds()
	after := host.Spent()
	got.CPU, got.Client, got.RSS = s.cost, s.client, c.sys.group.RSS()
	all := got.Took * float64(host.Describe(".").Cores)
	ours := (c.sys.group.CPU() - broker + ownCPU() - client).Seconds()
	got.Steal = (after.Steal - spent.Steal).Seconds() / all
	got.Foreign = max(0, (after.Busy-spent.Busy).Seconds()-ours) / all
	err = errors.Join(err, s.remove())
	switch {
	case err != nil:
		got.Failed, got.Figures = err.Error(), nil
	case got.Steal > 0.01:
		got.Void = fmt.Sprintf("%.1f %% of the time was stolen", got.Steal*100)
	case got.Foreign > 0.05:
		got.Void = fmt.Sprintf("others used %.1f %% of the cores", got.Foreign*100)
	}
	return got
}

// settle waits until little is dirty, so that a slot does not pay for the one
// before.
func settle(ctx context.Context) {
	syncAll()
	for deadline := time.Now().Add(20 * time.Second); host.Dirty() > 64<<20 && time.Now().Before(deadline) && ctx.Err() == nil; {
		time.Sleep(50 * time.Millisecond)
	}
}
