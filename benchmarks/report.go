// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/samsa-broker/samsa/benchmarks/host"
	"github.com/samsa-broker/samsa/benchmarks/stats"
)

// header is the first line of a result.
type header struct {
	Commit   string       `json:"commit"`
	Date     string       `json:"date"`
	Seed     uint64       `json:"seed"`
	Set      string       `json:"set"`
	Pinned   bool         `json:"pinned"`
	Systems  []string     `json:"systems"`
	Versions []string     `json:"versions"`
	Machine  host.Machine `json:"machine"`
	Measured string       `json:"measured_by"`
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
			var s sample
			err = json.Unmarshal(lines.Bytes(), &s)
			out.samples = append(out.samples, s)
		}
		if err != nil {
			return out, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return out, lines.Err()
}

// of collects the good samples of a figure.
func (r *result) of(row, contender, figure string) []float64 {
	var out []float64
	for _, s := range r.samples {
		if v, ok := s.Figures[figure]; ok && s.Row == row && s.Contender == contender && s.Void == "" && s.Failed == "" && s.Block >= 0 {
			out = append(out, v)
		}
	}
	return out
}

// rivals of a contender of ours: the durable default against Kafka told to
// flush, the other against Kafka as it ships.
func (r *result) rivals(w *row, ours string) []string {
	var out []string
	for _, s := range r.header.Systems {
		if !strings.HasPrefix(s, "k") {
			continue
		}
		if w.flush || ours == "samsa" {
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

// lines judges every figure of every row.
func (r *result) lines() []line {
	var out []line
	all := rows()
	for i := range all {
		w := &all[i]
		for _, f := range w.figures {
			for _, ours := range []string{"samsa-kafka", "samsa"} {
				name := ours
				if w.flush && ours == "samsa-kafka" {
					name += "+flush"
				}
				if l, ok := r.judge(w, f, name, ours); ok {
					out = append(out, l)
				}
			}
		}
	}
	return out
}

func (r *result) judge(w *row, f figure, name, mode string) (line, bool) {
	mine := r.of(w.id, name, f.name)
	if len(mine) == 0 {
		return line{}, false
	}
	l := line{row: w.id, figure: f.name, unit: f.unit, ours: name, mine: stats.Median(mine), must: f.must, aim: f.aim, limit: math.NaN(),
		spread: stats.Spread(mine), samples: len(mine), verdict: stats.Void}
	if mode == "samsa" && !w.flush {
		l.must = 1
	}
	if limit := r.of(w.id, "null", f.name); len(limit) > 0 {
		l.limit = stats.Median(limit) / l.mine
		if !f.less {
			l.limit = 1 / l.limit
		}
	}
	for _, rival := range r.rivals(w, mode) {
		theirs := r.of(w.id, rival, f.name)
		if len(theirs) == 0 {
			continue
		}
		ratio := stats.Ratio(theirs, mine, r.header.Seed)
		if !f.less {
			ratio = stats.Ratio(mine, theirs, r.header.Seed)
		}
		if l.rival == "" || ratio.Ratio < l.better.Ratio { // the better Kafka is the one we are less ahead of
			l.rival, l.theirs, l.better = rival, stats.Median(theirs), ratio
			l.verdict = stats.Judge(ratio, l.must, min(len(mine), len(theirs)))
		}
	}
	return l, true
}

// print writes the table in Markdown.
func (r *result) print(w io.Writer) {
	h := r.header
	fmt.Fprintf(w, "Commit %s, %s, set %s, seed %d. %d × %s, %d GiB, Linux %s, %s, %s, congestion control %s. CPU by %s; brokers and client %s.\n",
		h.Commit, h.Date, h.Set, h.Seed, h.Machine.Cores, h.Machine.CPU, h.Machine.MemoryMiB>>10, h.Machine.Kernel, h.Machine.FileSystem,
		h.Machine.Go, h.Machine.Congestion, h.Measured, map[bool]string{true: "pinned to cores of their own", false: "not pinned"}[h.Pinned])
	fmt.Fprintf(w, "Versions: %s.\n", strings.Join(h.Versions, "; "))
	if len(h.Uncontrolled) > 0 {
		fmt.Fprintf(w, "Not controlled: %s.\n", strings.Join(h.Uncontrolled, "; "))
	}
	void, failed := 0, 0
	for _, s := range r.samples {
		if s.Void != "" {
			void++
		}
		if s.Failed != "" {
			failed++
		}
	}
	fmt.Fprintf(w, "%d slots, %d void, %d failed.\n\n", len(r.samples), void, failed)
	fmt.Fprintln(w, "| row | figure | ours | | best Kafka | | times better (95 %) | of the limit | must, aim | verdict |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|")
	for _, l := range r.lines() {
		limit := "–"
		if !math.IsNaN(l.limit) {
			limit = fmt.Sprintf("%.2f", l.limit)
		}
		fmt.Fprintf(w, "| %s | %s, %s | %s | %.4g ± %.0f %% | %s | %.4g | %.2f (%.2f–%.2f) | %s | %.2g, %.2g | %s |\n", l.row, l.figure, l.unit, l.ours, l.mine,
			l.spread*100, l.rival, l.theirs, l.better.Ratio, l.better.Low, l.better.High, limit, l.must, l.aim, l.verdict)
	}
	fmt.Fprintln(w)
	for _, row := range rows() {
		fmt.Fprintf(w, "- **%s**: %s.\n", row.id, row.story)
	}
}
