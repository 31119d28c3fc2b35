// SPDX-License-Identifier: Apache-2.0

//go:build !linux

// Command benchmarks measures Samsa on Linux; here it only says so.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "benchmarks: measures on Linux only")
	os.Exit(1)
}
