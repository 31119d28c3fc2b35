// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/samsa-broker/samsa/benchmarks/host"
	"github.com/samsa-broker/samsa/benchmarks/stats"
)

// header is the first line of a result.
type header struct {
	Commit    string             `json:"commit"`
	Date      string             `json:"date"`
	Seed      uint64             `json:"seed"`
	Set       string             `json:"set"`
	Scale     float64            `json:"scale"`
	Rehearsal bool               `json:"rehearsal,omitempty"` // its figures mean nothing
	On        string             `json:"on,omitempty"`        // a file system of the run's own
	Pinned    bool               `json:"pinned"`
	Systems   []string           `json:"systems"`
	Started   map[string]float64 `json:"started_s"` // from start to first answer, beside the others' folders
	Versions  []string           `json:"versions"`
	Machine   host.Machine       `json:"machine"`
	Measured  string             `json:"measured_by"`
	// Uncontrolled says what the run could not hold still.
	Uncontrolled []string `json:"uncontrolled"`
}

// result is a run as it was written down.
type result struct {
	header  header
	samples []sample
}

// readResult reads JSON lines: a header, then samples.
func readResult(r io.Reader) (result, error) {
	var out result
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var err error
		if n == 1 {
			err = json.Unmarshal(lines.Bytes(), &out.header)
		} else {
			err = out.read(lines.Bytes())
		}
		if err != nil {
			return out, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return out, lines.Err()
}

func (r *result) read(text []byte) error {
	var s sample
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if s.Contender != everyone {
		r.samples = append(r.samples, s)
		return nil
	}
	for i := range r.samples {
		if one := &r.samples[i]; one.Row == s.Row && one.good() {
			one.Void = s.Void
		}
	}
	return nil
}

// of collects the good samples of a figure.
func (r *result) of(row, contender, figure string) []float64 {
	var out []float64
	for i := range r.samples {
		s := &r.samples[i]
		if v, ok := s.Figures[figure]; ok && s.Row == row && s.Contender == contender && s.good() {
			out = append(out, v)
		}
	}
	return out
}

// limitOf collects the samples of the limit that a bound names.
func (r *result) limitOf(row string, b bound) []float64 {
	if b.of != "null" {
		line, figure, _ := strings.Cut(b.of, " ")
		return r.of(line, machine, figure)
	}
	if in := r.of(row, "null-c", b.figure); len(in) > 0 { // the lower of the two
		return in
	}
	return r.of(row, "null", b.figure)
}

// ownContenders are our two modes as they take part in a row.
func (r *result) ownContenders(w *row) []string {
	out := []string{"samsa", "samsa-kafka"}
	if w.flush {
		out[1] += "+flush"
	}
	return out
}

func (w *row) figure(name string) figure {
	for _, f := range w.figures {
		if f.name == name {
			return f
		}
	}
	panic("BUG: benchmarks: " + w.id + " has no figure " + name)
}

// rivals of a contender of ours: the durable default against Kafka told to
// flush, the other against Kafka as it ships.
func (r *result) rivals(w *row, ours string) []string {
	var out []string
	for _, s := range r.header.Systems {
		if !strings.HasPrefix(s, "k") {
			continue
		}
		if w.flush || ours == "samsa" && !w.plain {
			s += "+flush"
		}
		out = append(out, s)
	}
	return out
}

// line is one figure of one of our two modes against the best Kafka.
type line struct {
	row, figure, unit, ours, rival string
	mine, theirs                   float64
	better                         stats.Interval // how many times
	limit                          float64        // the null broker's part of it; NaN: it has none
	spread                         float64
	must, aim                      float64
	verdict                        stats.Verdict
	samples                        int
}

// lines judges every figure of every row that Kafka is a measure for.
func (r *result) lines() []line {
	var out []line
	for _, w := range rows() {
		for _, f := range w.figures {
			if f.must == 0 || w.ours {
				continue
			}
			for _, name := range r.ownContenders(&w) {
				if l, ok := r.judge(&w, f, name); ok {
					out = append(out, l)
				}
			}
		}
	}
	return out
}

func (r *result) judge(w *row, f figure, name string) (line, bool) {
	mine := r.of(w.id, name, f.name)
	if len(mine) == 0 {
		return line{}, false
	}
	l := line{row: w.id, figure: f.name, unit: f.unit, ours: name, mine: stats.Median(mine), must: f.must, aim: f.aim, limit: math.NaN(),
		spread: stats.Spread(mine), samples: len(mine), verdict: stats.Void}
	if name == "samsa" && !w.flush && !w.plain {
		l.must = 1
	}
	if limit := r.limitOf(w.id, bound{figure: f.name, of: "null"}); len(limit) > 0 {
		l.limit = part(f, limit, mine, r.header.Seed).Ratio
	}
	for _, rival := range r.rivals(w, name) {
		theirs := r.of(w.id, rival, f.name)
		if len(theirs) == 0 {
			continue
		}
		ratio := part(f, theirs, mine, r.header.Seed)
		if l.rival == "" || ratio.Ratio < l.better.Ratio { // the better Kafka is the one we are less ahead of
			l.rival, l.theirs, l.better = rival, stats.Median(theirs), ratio
			l.verdict = stats.Judge(ratio, l.must, min(len(mine), len(theirs)))
		}
	}
	return l, true
}

// part is how many times better mine is than other, of a figure.
func part(f figure, other, mine []float64, seed uint64) stats.Interval {
	if f.less {
		return stats.Ratio(other, mine, seed)
	}
	return stats.Ratio(mine, other, seed)
}

// held is a bound of a row and whether one of ours keeps it.
type held struct {
	row, ours string
	bound
	figure  figure
	value   stats.Interval // of the figure, or of the part of the limit that it reaches
	samples int
	verdict stats.Verdict
}

// bounds judges every bound of every row, for all systems of ours.
func (r *result) bounds() []held {
	var out []held
	for _, w := range rows() {
		for _, b := range w.bounds {
			for _, id := range r.header.Systems {
				if w.flush && strings.HasSuffix(id, "-kafka") {
					id += "+flush"
				}
				if h, ok := r.hold(&w, b, id); ok && ours(id) {
					out = append(out, h)
				}
			}
		}
	}
	return out
}

func (r *result) hold(w *row, b bound, name string) (held, bool) {
	h := held{row: w.id, ours: name, bound: b, figure: w.figure(b.figure)}
	mine := r.of(w.id, name, b.figure)
	if h.samples = len(mine); len(mine) == 0 {
		return h, false
	}
	if b.of == "own" {
		h.value = stats.Ratio(mine, []float64{1, 1}, r.header.Seed)
		h.verdict = stats.Bound(h.value, b.must, b.aim, h.figure.less, len(mine))
		return h, true
	}
	limit := r.limitOf(w.id, b)
	if len(limit) == 0 {
		return h, false
	}
	h.value = part(h.figure, limit, mine, r.header.Seed)
	h.verdict = stats.Bound(h.value, b.must, b.aim, false, min(len(mine), len(limit)))
	return h, true
}

// contendersOf lists who has a good sample of a row, our systems first.
func (r *result) contendersOf(row string) []string {
	var out []string
	for i := range r.samples {
		if s := &r.samples[i]; s.Row == row && s.good() && !slices.Contains(out, s.Contender) {
			out = append(out, s.Contender)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		if ours(a) != ours(b) {
			if ours(a) {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return out
}
