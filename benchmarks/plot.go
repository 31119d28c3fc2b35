// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
)

// plot draws how many times better than the best Kafka each figure is, with its
// interval, on a logarithmic axis; the line at 1 is Kafka.
func (r *result) plot(w io.Writer) {
	const left, right, top, step = 270, 880, 60, 22
	ls := slices.DeleteFunc(r.lines(), func(l line) bool { return l.rival == "" })
	low, high := 0.5, 4.0
	for _, l := range ls {
		low, high = min(low, l.better.Low*0.9), max(high, l.better.High*1.1)
	}
	x := func(v float64) float64 {
		return left + (right-left)*(math.Log(v)-math.Log(low))/(math.Log(high)-math.Log(low))
	}
	height := top + step*len(ls) + 40
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 %d" font-family="sans-serif" font-size="12">`+"\n", height)
	fmt.Fprintf(w, `<rect width="920" height="%d" fill="#fff"/><text x="20" y="24" font-size="16">Samsa against the better Kafka: how many times better</text>`+"\n", height)
	fmt.Fprintf(w, `<text x="20" y="42" fill="#666">%s</text>`+"\n", html.EscapeString(fmt.Sprintf("commit %s, %s, %d × %s", r.header.Commit, r.header.Date, r.header.Machine.Cores, r.header.Machine.CPU)))
	if r.header.Rehearsal {
		fmt.Fprintf(w, `<text x="500" y="42" fill="#c00" font-size="14">%s</text>`+"\n", rehearsal)
	}
	for _, v := range []float64{0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64} {
		if v < low || v > high {
			continue
		}
		colour, width := "#ddd", 1
		if v == 1 {
			colour, width = "#333", 2
		}
		fmt.Fprintf(w, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="%d"/><text x="%.1f" y="%d" text-anchor="middle" fill="#666">%g×</text>`+"\n",
			x(v), top-6, x(v), height-28, colour, width, x(v), height-12, v)
	}
	for i, l := range ls {
		y := top + step*i + 8
		fmt.Fprintf(w, `<text x="20" y="%d">%s</text>`, y+4, html.EscapeString(fmt.Sprintf("%s %s, %s", l.row, l.figure, l.ours)))
		colour := map[bool]string{true: "#2a7", false: "#c43"}[l.better.Ratio >= 1]
		fmt.Fprintf(w, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="3"/><circle cx="%.1f" cy="%d" r="4" fill="%s"><title>%s %.2f times better than %s</title></circle>`+"\n",
			x(l.better.Low), y, x(l.better.High), y, colour, x(l.better.Ratio), y, colour, l.row, l.better.Ratio, html.EscapeString(l.rival))
	}
	fmt.Fprintln(w, `</svg>`)
}
