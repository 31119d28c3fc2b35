// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/samsa-broker/samsa/benchmarks/limit"
	"github.com/samsa-broker/samsa/benchmarks/stats"
)

// rehearsal is said in every output of a run that was none.
const rehearsal = "THIS WAS A REHEARSAL: its figures mean nothing"

// print writes the tables in Markdown.
func (r *result) print(w io.Writer) {
	r.printHead(w)
	r.printLines(w)
	r.printBounds(w)
	r.printOwn(w)
	r.printLimits(w)
	for _, row := range rows() {
		if len(r.contendersOf(row.id)) > 0 {
			fmt.Fprintf(w, "- **%s**: %s.\n", row.id, row.story)
		}
	}
}

func (r *result) printHead(w io.Writer) {
	h := r.header
	if h.Rehearsal {
		fmt.Fprintf(w, "**%s.**\n\n", rehearsal)
	}
	fs := h.Machine.FileSystem
	if h.On != "" {
		fs = h.On + " with a journal, on a loop device"
	}
	fmt.Fprintf(w, "Commit %s, %s, set %s, seed %d. %d × %s, %d GiB, Linux %s, %s, %s, congestion control %s. CPU by %s; brokers and client %s.\n",
		h.Commit, h.Date, h.Set, h.Seed, h.Machine.Cores, h.Machine.CPU, h.Machine.MemoryMiB>>10, h.Machine.Kernel, fs,
		h.Machine.Go, h.Machine.Congestion, h.Measured, map[bool]string{true: "pinned to cores of their own", false: "not pinned"}[h.Pinned])
	fmt.Fprintf(w, "Versions: %s.\n", strings.Join(h.Versions, "; "))
	if len(h.Uncontrolled) > 0 {
		fmt.Fprintf(w, "Not controlled: %s.\n", strings.Join(h.Uncontrolled, "; "))
	}
	void, failed, client := 0, 0, 0.0
	busiest := ""
	for i := range r.samples {
		s := &r.samples[i]
		if s.Void != "" {
			void++
		}
		if s.Failed != "" {
			failed++
		}
		if s.good() && s.Client > client && !strings.HasPrefix(s.Row, "W20") {
			client, busiest = s.Client, s.Row+" of "+s.Contender
		}
	}
	fmt.Fprintf(w, "%d slots, %d void, %d failed. The generator used at most %.0f %% of a core (%s); above 70 it would be what is measured.\n",
		len(r.samples), void, failed, client*100, busiest)
	for _, id := range slices.Sorted(maps.Keys(h.Started)) {
		fmt.Fprintf(w, "%s answered %.2f s after its start. ", id, h.Started[id])
	}
	fmt.Fprint(w, "\n\n")
}

// printLines writes how we stand beside Kafka.
func (r *result) printLines(w io.Writer) {
	ls := slices.DeleteFunc(r.lines(), func(l line) bool { return l.rival == "" })
	if len(ls) == 0 {
		return
	}
	fmt.Fprintln(w, "| row | figure | ours | | best Kafka | | times better (95 %) | of the limit | must, aim | verdict |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|")
	for _, l := range ls {
		limit := "–"
		if !math.IsNaN(l.limit) {
			limit = fmt.Sprintf("%.2f", l.limit)
		}
		verdict := string(l.verdict)
		if l.verdict == stats.Ahead && l.better.Low >= l.aim {
			verdict += ", aim reached"
		}
		fmt.Fprintf(w, "| %s | %s, %s | %s | %.4g ± %.0f %% | %s | %.4g | %.2f (%.2f–%.2f) | %s | %.2g, %.2g | %s |\n", l.row, l.figure, l.unit, l.ours, l.mine,
			l.spread*100, l.rival, l.theirs, l.better.Ratio, l.better.Low, l.better.High, limit, l.must, l.aim, verdict)
	}
	fmt.Fprintln(w)
}

// printBounds writes how we stand by numbers and limit lines of the same run.
func (r *result) printBounds(w io.Writer) {
	hs := r.bounds()
	if len(hs) == 0 {
		return
	}
	fmt.Fprintln(w, "| row | bound | ours | value (95 %) | must, aim | verdict |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|")
	for _, h := range hs {
		what := fmt.Sprintf("%s: part of %s", h.bound.figure, h.of)
		if h.of == "own" {
			what = strings.TrimSuffix(h.figure.name+", "+h.figure.unit, ", ")
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.3g (%.3g–%.3g) | %.3g, %.3g | %s |\n", h.row, what, h.ours, h.value.Ratio, h.value.Low, h.value.High, h.must, h.aim, h.verdict)
	}
	fmt.Fprintln(w)
}

// printOwn writes every contender's median where our systems stand beside each
// other: the backends, and what Kafka is no measure for.
func (r *result) printOwn(w io.Writer) {
	more := slices.ContainsFunc(r.header.Systems, func(id string) bool { return ours(id) && !slices.Contains(ownModes, id) })
	for _, row := range rows() {
		cs := r.contendersOf(row.id)
		if row.ours || more && !row.plain {
			cs = slices.DeleteFunc(cs, func(id string) bool { return !ours(id) })
		} else if row.figures[0].must > 0 {
			continue
		}
		if len(cs) == 0 {
			continue
		}
		fmt.Fprintf(w, "| %s | %s |\n|---|%s\n", row.id, strings.Join(cs, " | "), strings.Repeat("---|", len(cs)))
		for _, f := range row.figures {
			fmt.Fprintf(w, "| %s |", strings.TrimSuffix(f.name+", "+f.unit, ", "))
			first := r.of(row.id, cs[0], f.name)
			for i, c := range cs {
				mine := r.of(row.id, c, f.name)
				switch {
				case len(mine) == 0:
					fmt.Fprint(w, " – |")
				case i == 0 || len(first) == 0:
					fmt.Fprintf(w, " %.4g |", stats.Median(mine))
				default:
					fmt.Fprintf(w, " %.4g (%.2f×) |", stats.Median(mine), stats.Median(mine)/stats.Median(first))
				}
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w)
	}
}

// printLimits writes the limit lines: of the machine, and of the null brokers.
func (r *result) printLimits(w io.Writer) {
	fmt.Fprintln(w, "| limit | what | figures |\n|---|---|---|")
	for _, l := range limit.Lines() {
		figures := map[string]bool{}
		for i := range r.samples {
			if s := &r.samples[i]; s.Row == l.ID {
				for name := range s.Figures {
					figures[name] = true
				}
			}
		}
		var text []string
		for _, name := range slices.Sorted(maps.Keys(figures)) {
			got := r.of(l.ID, machine, name)
			text = append(text, fmt.Sprintf("%s %.4g ± %.0f %%", name, stats.Median(got), stats.Spread(got)*100))
		}
		if len(text) > 0 {
			fmt.Fprintf(w, "| %s | %s | %s |\n", l.ID, l.Story, strings.Join(text, ", "))
		}
	}
	for _, l := range []struct{ id, row, what string }{
		{"L3", "W1", "null broker, Produce of 256 KiB"}, {"L3", "W2", "null broker, Produce of 16 KiB"}, {"L3", "W3", "null broker, Produce of one record"},
		{"L4", "W6", "null broker, Fetch"},
	} {
		for _, id := range []string{"null-c", "null"} {
			w0 := rowOf(l.row)
			var text []string
			for _, f := range w0.figures {
				if got := r.of(l.row, id, f.name); len(got) > 0 {
					text = append(text, fmt.Sprintf("%s %.4g %s ± %.0f %%", f.name, stats.Median(got), f.unit, stats.Spread(got)*100))
				}
			}
			if len(text) > 0 {
				fmt.Fprintf(w, "| %s | %s (%s, %s) | %s |\n", l.id, l.what, l.row, map[string]string{"null": "in Go", "null-c": "in C"}[id], strings.Join(text, ", "))
			}
		}
	}
	fmt.Fprintln(w)
}

func rowOf(id string) row {
	for _, w := range rows() {
		if w.id == id {
			return w
		}
	}
	panic("BUG: benchmarks: no row " + id)
}
