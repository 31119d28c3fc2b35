// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/host"
	"github.com/samsa-broker/samsa/benchmarks/limit"
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
	Device    host.IO            `json:"device"`      // of the measured part
	Void      string             `json:"void,omitempty"`
	Failed    string             `json:"failed,omitempty"`
}

// good tells whether a sample counts.
func (s *sample) good() bool { return s.Void == "" && s.Failed == "" && s.Block >= 0 }

// contender is a system in one of its ways to keep a promise.
type contender struct {
	name  string
	sys   *system
	flush bool
}

// runner carries a set of rows out against running systems.
type runner struct {
	systems []*system
	env     *environment
	set     *host.Settings
	loose   bool    // a rehearsal: nothing is void
	noisy   float64 // a row whose figures spread further is repeated (0: none is)
	lines   []limit.Line
	most    float64 // requests a second that the slowest manages; 0: not known yet
	blocks  int
	scale   float64
	seed    uint64
	out     io.Writer // JSON lines
	say     func(format string, args ...any)
	samples []sample
	began   time.Time
	done    int // slots
	slots   int // in all, as far as is known
}

// contenders of a row.
func (r *runner) contenders(w *row) []contender {
	var out []contender
	for _, s := range r.systems {
		durable := ours(s.id) && !strings.HasSuffix(s.id, "-kafka")
		switch {
		case w.ours && !ours(s.id), w.flush && isNull(s.id): // it never syncs
		case w.flush && !durable:
			out = append(out, contender{s.id + "+flush", s, true})
		case !w.flush && !w.plain && !ours(s.id) && !isNull(s.id):
			out = append(out, contender{s.id, s, false}, contender{s.id + "+flush", s, true})
		default:
			out = append(out, contender{s.id, s, false})
		}
	}
	return out
}

// slotsOf is how many slots a row has with so many contenders.
func (r *runner) slotsOf(contenders int) int {
	if r.loose {
		return r.blocks * contenders
	}
	return 2 * r.blocks * contenders
}

// count the slots of some rows.
func (r *runner) count(list []row) int {
	n, calibrated := 0, false
	for i := range list {
		n += r.slotsOf(len(r.contenders(&list[i])))
		if list[i].part > 0 && !calibrated {
			n, calibrated = n+len(r.contenders(&list[i])), true
		}
	}
	return n
}

// run carries out every row in mirrored blocks: what drifts with time falls on
// all alike.
func (r *runner) run(ctx context.Context, list []row) error {
	r.began, r.slots = time.Now(), r.count(list)
	if err := r.measureLines(ctx, 0); err != nil {
		return err
	}
	for i := range list {
		if err := r.quietRow(ctx, &list[i], rand.New(rand.NewPCG(r.seed, uint64(i)))); err != nil {
			return err
		}
		if i == (len(list)-1)/2 {
			if err := r.measureLines(ctx, 1); err != nil {
				return err
			}
		}
	}
	return r.measureLines(ctx, 2)
}

// machine is the contender of the limit lines.
const machine = "machine"

// measureLines measures the limit lines, all systems frozen: at the start, in the
// middle and at the end of a run.
func (r *runner) measureLines(ctx context.Context, pass int) error {
	o := limit.Options{Dir: r.env.dir, For: 2 * time.Second, Server: -1, Client: -1, Bytes: 4 << 30}
	if r.env.cpus != "" {
		o.Server, o.Client = 0, 1
	}
	if r.loose {
		o.For, o.Bytes = 50*time.Millisecond, 16<<20
	}
	for _, l := range r.lines {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		got := sample{Row: l.ID, Contender: machine, Block: pass, Order: pass}
		began := time.Now()
		figures, err := l.Run(o)
		if got.Figures, got.Took = figures, time.Since(began).Seconds(); err != nil {
			got.Failed, got.Figures = err.Error(), nil
		}
		r.slots++
		if err := r.note(got); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) row(ctx context.Context, w *row, rng *rand.Rand) error {
	cs := r.contenders(w)
	if w.part > 0 && r.most == 0 {
		if err := r.calibrate(ctx, w, cs); err != nil {
			return err
		}
	}
	if w.stock && r.set != nil {
		again, err := r.set.Stock("vm/dirty_background_ratio", "vm/dirty_ratio")
		if err != nil {
			return err
		}
		defer again()
	}
	order := 0
	for block := range r.blocks {
		rng.Shuffle(len(cs), func(a, b int) { cs[a], cs[b] = cs[b], cs[a] })
		mirrored := append(slices.Clone(cs), cs...)
		slices.Reverse(mirrored[len(cs):])
		for _, c := range mirrored[:r.slotsOf(len(cs))/r.blocks] {
			if err := r.slot(ctx, w, c, block, order); err != nil {
				return err
			}
			order++
		}
	}
	return nil
}

// calibrate lets every contender show what it manages at most; the open loops
// then run at parts of the least of them.
func (r *runner) calibrate(ctx context.Context, w *row, cs []contender) error {
	probe := *w
	probe.id, probe.run = "W9", open
	least := 0.0
	for i, c := range cs {
		got := r.once(ctx, &probe, c, -1, i)
		if err := r.note(got); err != nil {
			return err
		}
		most := got.Figures["most"]
		if !isNull(c.sys.id) && !c.flush && most > 0 && (least == 0 || most < least) {
			least = most
		}
	}
	if least == 0 {
		return fmt.Errorf("%s: no contender could be calibrated", w.id)
	}
	r.most = least
	return nil
}

// retries of a slot that was disturbed.
const retries = 2

func (r *runner) slot(ctx context.Context, w *row, c contender, block, order int) error {
	for try := 0; ; try++ {
		got := r.once(ctx, w, c, block, order)
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
	r.samples = append(r.samples, s)
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = r.out.Write(append(b, '\n'))
	return err
}

// everyone is the contender of a line that makes all before it of its row void.
const everyone = "*"

// void makes the samples of a row void, from the one given on.
func (r *runner) void(row string, from int) error {
	const why = "too noisy: the row was repeated"
	for i := from; i < len(r.samples); i++ {
		r.samples[i].Void = why
	}
	r.slots++
	return r.note(sample{Row: row, Contender: everyone, Void: why})
}

// once carries one slot out: the system thawed, the others frozen.
func (r *runner) once(ctx context.Context, w *row, c contender, block, order int) sample {
	got := sample{Row: w.id, Contender: c.name, Block: block, Order: order, Figures: map[string]float64{}}
	if err := c.sys.group.Thaw(); err != nil {
		got.Failed = err.Error()
		return got
	}
	defer func() { _ = c.sys.group.Freeze() }() // a system that cannot be frozen idles beside the others, and its CPU voids their slots
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(w.within, 3*time.Minute))
	defer cancel()
	if !r.loose {
		settle(ctx)
	}
	s := &slot{ctx: ctx, sys: c.sys, env: r.env, flush: c.flush, loose: r.loose, scale: r.scale, seed: r.seed + uint64(order), most: r.most, part: w.part, figures: got.Figures,
		topic: fmt.Sprintf("bench-%s-%d-%d-%d", strings.ToLower(w.id), block+1, order, r.done)}
	if err := s.awake(); err != nil {
		got.Failed, got.Figures = err.Error(), nil
		return got
	}
	spent, kernel, broker, client, began := host.Spent(), host.KernelCPU(), c.sys.cpu(), ownCPU(), time.Now()
	err := w.run(s)
	got.Took = time.Since(began).Seconds()
	after := host.Spent()
	got.CPU, got.Client, got.RSS, got.Device = s.cost, s.client, c.sys.group.RSS(), s.device
	all := got.Took * float64(runtime.NumCPU())
	known := (c.sys.cpu() - broker + ownCPU() - client + s.others).Seconds() + float64(host.KernelCPU()-kernel)/100
	got.Steal = (after.Steal - spent.Steal).Seconds() / all
	got.Foreign = max(0, (after.Busy-spent.Busy).Seconds()-known) / all
	err = errors.Join(err, s.remove())
	switch {
	case err != nil:
		got.Failed, got.Figures = err.Error(), nil
	case r.loose:
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
