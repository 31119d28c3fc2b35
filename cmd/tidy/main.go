// SPDX-License-Identifier: Apache-2.0

// Command tidy checks the source tree's own rules: which room may import which,
// how large a file, function, type and package may grow, what must be
// documented, and what must not be in the tree at all.
//
// The check is a test: go test ./cmd/tidy. It opens every file itself, so that
// a cached result can never hide a change. Run as a program it prints what it
// checks and every finding; told to, it reads the events of go test -json and
// prints what go test would have printed, and every test that was skipped:
//
//	go run ./cmd/tidy [DIR]
//	go test -json ./... | go run ./cmd/tidy skips
//
// What breaks a rule for a good reason stands in exceptions.txt. That list may
// only shrink: an exception that nothing needs is itself a finding.
package main

import (
	"fmt"
	"os"
)

func main() {
	root := "."
	if len(os.Args) == 2 && os.Args[1] == "skips" {
		os.Exit(skips(os.Stdin, os.Stdout))
	}
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	fmt.Print(rulesText())
	tree, err := openTree(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tidy:", err)
		os.Exit(1)
	}
	findings := check(tree)
	fmt.Printf("\n%d files, %d findings\n", len(tree.files), len(findings))
	for _, f := range findings {
		fmt.Println(f)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
}
