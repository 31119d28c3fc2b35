// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/stats"
)

// gated are the rows of the gate and the figure of each that it looks at: those
// that are steady. What a row has no null broker for is held to a limit line.
var gated = map[string]bound{
	"W1": {figure: "broker CPU", of: "null"}, "W2": {figure: "broker CPU", of: "null"}, "W3": {figure: "requests", of: "null"},
	"W6": {figure: "broker CPU", of: "null"}, "W8": {figure: "p50", of: "null"}, "W9": {figure: "p50", of: "null"},
	"W12": {figure: "acks", of: "L8 overwrite"},
}

const (
	gateFall    = 0.1             // of a part of the limit: more fails
	gateSpread  = 0.1             // of a figure's own samples: more voids
	gateRepeats = 2               // of a row that is void
	gateTime    = 4 * time.Minute // after which nothing is repeated
)

// gateNoise is the spread above which a run repeats its rows.
func (o *options) gateNoise() float64 {
	if o.set == "gate" && !o.rehearse {
		return gateSpread
	}
	return 0
}

// quietRow carries a row out, and again when its figures spread too far: the
// samples of the noisy try are then void.
func (r *runner) quietRow(ctx context.Context, w *row, rng *rand.Rand) error {
	for try := 0; ; try++ {
		from := len(r.samples)
		if err := r.row(ctx, w, rng); err != nil {
			return err
		}
		who := r.spread(w, r.samples[from:])
		if who == "" || try == gateRepeats || time.Since(r.began) > gateTime {
			return nil
		}
		r.say("%s: the figures of %s spread by more than %.0f %%: void, once more", w.id, who, r.noisy*100)
		if err := r.void(w.id, from); err != nil {
			return err
		}
		r.slots += r.slotsOf(len(r.contenders(w)))
	}
}

// spread names a contender whose gated figure spreads too far.
func (r *runner) spread(w *row, samples []sample) string {
	if r.noisy == 0 {
		return ""
	}
	got := map[string][]float64{}
	for _, s := range samples {
		if v, ok := s.Figures[gated[w.id].figure]; ok && s.good() {
			got[s.Contender] = append(got[s.Contender], v)
		}
	}
	for _, who := range slices.Sorted(maps.Keys(got)) {
		if stats.Spread(got[who]) > r.noisy {
			return who
		}
	}
	return ""
}

// recorded is what the gate compares with.
type recorded struct {
	Commit string             `json:"commit"`
	Date   string             `json:"date"`
	CPU    string             `json:"cpu"`
	Parts  map[string]float64 `json:"parts"` // of the limit, by row, figure and contender
}

// parts of the limit lines that our modes reach; NaN: too noisy to say.
func (r *result) parts() map[string]float64 {
	out := map[string]float64{}
	for _, w := range rows() {
		b, ok := gated[w.id]
		if !ok {
			continue
		}
		f := w.figure(b.figure)
		for _, name := range r.ownContenders(&w) {
			mine, limit := r.of(w.id, name, f.name), r.limitOf(w.id, b)
			if len(mine) == 0 || len(limit) == 0 {
				continue
			}
			part := stats.Median(limit) / stats.Median(mine)
			if !f.less {
				part = 1 / part
			}
			if stats.Spread(mine) > gateSpread || len(mine) < 2 {
				part = math.NaN()
			}
			out[strings.Join([]string{w.id, f.name, name}, " ")] = part
		}
	}
	return out
}

// errGate says that something fell.
var errGate = errors.New("the gate is shut")

// gate compares with what was recorded, or records.
func (r *result) gate(file string, record bool, say func(string, ...any)) error {
	parts := r.parts()
	if len(parts) == 0 {
		return fmt.Errorf("%w: nothing was measured", errGate)
	}
	if record {
		return r.recordGate(file, parts, say)
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: nothing is recorded in %s: run it with --record on a quiet machine", errGate, file)
	}
	var before recorded
	if err = errors.Join(err, json.Unmarshal(b, &before)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	var failed error
	for _, name := range slices.Sorted(maps.Keys(before.Parts)) {
		was := before.Parts[name]
		is, ok := parts[name]
		switch {
		case !ok:
			failed = errors.Join(failed, fmt.Errorf("%w: %s was not measured", errGate, name))
		case math.IsNaN(is):
			failed = errors.Join(failed, fmt.Errorf("%w: %s is too noisy to say, also after %d repeats", errGate, name, gateRepeats))
		case is < was*(1-gateFall):
			failed = errors.Join(failed, fmt.Errorf("%w: %s reaches %.3f of the limit, %.3f when recorded on %s", errGate, name, is, was, before.Commit))
		default:
			say("gate: %s reaches %.3f of the limit, %.3f when recorded", name, is, was)
		}
	}
	return failed
}

func (r *result) recordGate(file string, parts map[string]float64, say func(string, ...any)) error {
	for name, part := range parts {
		if math.IsNaN(part) {
			return fmt.Errorf("%s is too noisy to be recorded", name)
		}
	}
	b, err := json.MarshalIndent(recorded{Commit: r.header.Commit, Date: r.header.Date, CPU: r.header.Machine.CPU, Parts: parts}, "", "\t")
	if err != nil {
		return err
	}
	say("recorded %d parts in %s", len(parts), file)
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
