// SPDX-License-Identifier: Apache-2.0

//go:build linux

package limit_test

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/benchmarks/limit"
)

// Every line gives figures above zero, and leaves no file.
func TestEveryLineIsMeasured(t *testing.T) {
	o := limit.Options{Dir: t.TempDir(), For: 20 * time.Millisecond, Server: -1, Client: -1, Bytes: 8 << 20}
	for _, l := range limit.Lines() {
		t.Run(l.ID, func(t *testing.T) {
			got, err := l.Run(o)
			if err != nil || len(got) == 0 {
				t.Fatalf("%v, %v", got, err)
			}
			for name, v := range got {
				if !(v > 0) || math.IsInf(v, 0) {
					t.Errorf("%s: %s is %v", l.ID, name, v)
				}
			}
		})
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) != 0 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
}
