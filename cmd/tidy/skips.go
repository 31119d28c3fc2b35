// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is one line of go test -json.
type event struct {
	Action, Package, Test, Output string
}

// told keeps what tests print until it is known how they end.
type told struct {
	out     io.Writer
	printed map[string]string // by package and test
	skipped []string
	failed  bool
}

// skips reads the events of go test -json and prints packages' summary lines
// and what failed, as go test does without -v. Skipped tests are named at the
// end, with their reasons. It gives the exit code: 1 where something failed or
// was skipped.
func skips(in io.Reader, out io.Writer) int {
	t := told{out: out, printed: map[string]string{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		var e event
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil && e.Action != "" {
			t.hear(e)
		} else if line != "" {
			fmt.Fprint(out, line) // of make, or of the compiler
		}
		if err != nil {
			break
		}
	}
	for _, s := range t.skipped {
		fmt.Fprint(out, s)
	}
	if t.failed || len(t.skipped) > 0 {
		return 1
	}
	return 0
}

func (t *told) hear(e event) {
	key := e.Package + " " + e.Test
	switch {
	case e.Action == "build-output", e.Action == "output" && e.Test == "" && e.Output != "PASS\n":
		fmt.Fprint(t.out, e.Output)
	case e.Action == "output" && e.Test != "" && !strings.HasPrefix(e.Output, "=== "):
		t.printed[key] += e.Output
	case e.Action == "skip" && e.Test != "":
		t.skipped = append(t.skipped, fmt.Sprintf("a test was skipped in %s:\n%s", e.Package, t.printed[key]))
	case e.Action == "fail" && e.Test != "":
		fmt.Fprint(t.out, t.printed[key])
		t.failed = true
	case e.Action == "fail", e.Action == "build-fail":
		t.failed = true
		t.unfinished(e.Package)
	}
	if e.Action == "pass" || e.Action == "skip" || e.Action == "fail" {
		delete(t.printed, key)
	}
}

// unfinished prints what the tests of a package said that did not come to an
// end: it panicked, or time was up.
func (t *told) unfinished(pkg string) {
	for _, key := range slices.Sorted(maps.Keys(t.printed)) {
		if strings.HasPrefix(key, pkg+" ") {
			fmt.Fprint(t.out, t.printed[key])
			delete(t.printed, key)
		}
	}
}
