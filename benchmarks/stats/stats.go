// SPDX-License-Identifier: Apache-2.0

// Package stats judges the samples of a benchmark: medians, ratios of medians
// and how sure one can be of them.
package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Median of the samples; NaN of none.
func Median(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Clone(samples)
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Spread is the distance between the first and the third quartile over the
// median: the noise of the samples themselves.
func Spread(samples []float64) float64 {
	if len(samples) < 2 {
		return 0
	}
	s := slices.Clone(samples)
	slices.Sort(s)
	q := func(f float64) float64 {
		at := f * float64(len(s)-1)
		low := int(at)
		if low+1 == len(s) {
			return s[low]
		}
		return s[low] + (at-float64(low))*(s[low+1]-s[low])
	}
	return (q(0.75) - q(0.25)) / Median(s)
}

// Interval is a ratio with the range in which it lies 95 times in 100.
type Interval struct {
	Ratio, Low, High float64
}

// Ratio is the median of a over the median of b. Its range is the bootstrap's:
// both sides are drawn again with replacement, 2,000 times, from the seed.
func Ratio(a, b []float64, seed uint64) Interval {
	r := Interval{Ratio: Median(a) / Median(b)}
	r.Low, r.High = r.Ratio, r.Ratio
	if len(a) < 2 || len(b) < 2 {
		return r
	}
	rng := rand.New(rand.NewPCG(seed, uint64(len(a))))
	draw := func(from, to []float64) float64 {
		for i := range to {
			to[i] = from[rng.IntN(len(from))]
		}
		return Median(to)
	}
	const rounds = 2000
	ratios, x, y := make([]float64, rounds), make([]float64, len(a)), make([]float64, len(b))
	for i := range ratios {
		ratios[i] = draw(a, x) / draw(b, y)
	}
	slices.Sort(ratios)
	r.Low, r.High = ratios[rounds*25/1000], ratios[rounds*975/1000]
	return r
}

// Verdict is what an interval of "how many times better" says.
type Verdict string

// The verdicts.
const (
	Ahead  Verdict = "ahead"  // the worse end reaches the threshold asked for
	Level  Verdict = "level"  // the interval touches 1
	Behind Verdict = "behind" // all of it lies below 1
	Short  Verdict = "short"  // better than level, and not what was asked for
	Void   Verdict = "void"   // no number: too few samples, or too noisy
)

// Judge holds an interval to a threshold. A threshold of 1 asks not to be
// behind; a single sample a side proves nothing.
func Judge(r Interval, threshold float64, samples int) Verdict {
	switch {
	case samples < 2 || math.IsNaN(r.Ratio) || math.IsInf(r.Ratio, 0):
		return Void
	case r.High < 1:
		return Behind
	case threshold > 1 && r.Low >= threshold:
		return Ahead
	case threshold <= 1 && r.Low > 1:
		return Ahead
	case r.Low <= 1:
		return Level
	}
	return Short
}

// The verdicts of a bound.
const (
	Reached Verdict = "aim reached"
	Held    Verdict = "held"
	Missed  Verdict = "missed"
)

// Bound holds the worse end of an interval to two numbers: less tells that less
// is better. A single sample proves nothing.
func Bound(v Interval, must, aim float64, less bool, samples int) Verdict {
	keeps := func(to float64) bool {
		if less {
			return v.High <= to
		}
		return v.Low >= to
	}
	switch {
	case samples < 2 || math.IsNaN(v.Ratio) || math.IsInf(v.Ratio, 0):
		return Void
	case keeps(aim):
		return Reached
	case keeps(must):
		return Held
	}
	return Missed
}
