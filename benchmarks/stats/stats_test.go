// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"
	"testing"
)

func TestMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		in           []float64
		median, wide float64
	}{{[]float64{3, 1, 2}, 2, 0.5}, {[]float64{4, 1, 2, 3}, 2.5, 0.6}, {[]float64{5}, 5, 0}} {
		if m, s := Median(c.in), Spread(c.in); m != c.median || math.Abs(s-c.wide) > 1e-9 {
			t.Errorf("%v: median %v spread %v, want %v %v", c.in, m, s, c.median, c.wide)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

// What is twice as good with little noise is ahead at 1.5; what overlaps is
// level; what is worse is behind; one sample proves nothing.
func TestVerdicts(t *testing.T) {
	steady, twice := []float64{10, 11, 10, 9, 10, 10}, []float64{20, 21, 19, 20, 22, 20}
	for _, c := range []struct {
		name      string
		a, b      []float64
		threshold float64
		want      Verdict
	}{
		{"twice", twice, steady, 1.5, Ahead},
		{"twice, three asked for", twice, steady, 3, Short},
		{"equal", steady, steady, 1.2, Level},
		{"half", steady, twice, 1, Behind},
		{"one sample", twice[:1], steady[:1], 1.5, Void},
	} {
		r := Ratio(c.a, c.b, 7)
		if got := Judge(r, c.threshold, min(len(c.a), len(c.b))); got != c.want {
			t.Errorf("%s: %+v is %s, want %s", c.name, r, got, c.want)
		}
	}
	if a, b := Ratio(twice, steady, 7), Ratio(twice, steady, 7); a != b {
		t.Errorf("the same seed gives %v and %v", a, b)
	}
}

// A bound is kept by the worse end of what was measured, whichever that is.
func TestBounds(t *testing.T) {
	for _, c := range []struct {
		v    Interval
		less bool
		n    int
		want Verdict
	}{
		{Interval{1, 0.9, 1.1}, true, 4, Reached}, {Interval{1.4, 1.2, 1.6}, true, 4, Missed}, {Interval{1.2, 1.1, 1.4}, true, 4, Held},
		{Interval{2, 1.6, 3}, false, 4, Reached}, {Interval{2, 1.1, 3}, false, 4, Missed}, {Interval{1, 1, 1}, true, 1, Void},
	} {
		must, aim := 1.5, 1.2
		if !c.less {
			must, aim = 1.2, 1.5
		}
		if got := Bound(c.v, must, aim, c.less, c.n); got != c.want {
			t.Errorf("%+v, less %v: %s, want %s", c.v, c.less, got, c.want)
		}
	}
}
