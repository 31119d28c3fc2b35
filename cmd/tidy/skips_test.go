// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// What go test would print is printed, what passing tests say is not, and a
// skipped test is named with its reason and makes the whole a failure.
func TestSkips(t *testing.T) {
	for _, c := range []struct {
		name, events, want string
		code               int
	}{
		{"all is well", `go test -json ./...
{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: chatter\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}
{"Action":"skip","Package":"q"}
`, "go test -json ./...\nok  \tp\t0.1s\n?   \tq\t[no test files]\n", 0},
		{"a skip", `{"Action":"output","Package":"p","Test":"TestA/sub","Output":"    a_test.go:1: no reason\n"}
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"    --- SKIP: TestA/sub (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA/sub"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`, "ok  \tp\t0.1s\na test was skipped in p:\n    a_test.go:1: no reason\n    --- SKIP: TestA/sub (0.00s)\n", 1},
		{"a failure", `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: wrong\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`, "    a_test.go:1: wrong\n--- FAIL: TestA (0.00s)\nFAIL\nFAIL\tp\t0.1s\n", 1},
		{"a panic", `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: oh\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`, "FAIL\tp\t0.1s\npanic: oh\n", 1},
		{"no build", `{"ImportPath":"p","Action":"build-output","Output":"a.go:1:1: syntax error\n"}
{"ImportPath":"p","Action":"build-fail"}
`, "a.go:1:1: syntax error\n", 1},
	} {
		var out strings.Builder
		if code := skips(strings.NewReader(c.events), &out); code != c.code || out.String() != c.want {
			t.Errorf("%s: code %d\n%s\nwant %d\n%s", c.name, code, out.String(), c.code, c.want)
		}
	}
}
