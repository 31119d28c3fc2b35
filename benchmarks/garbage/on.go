// SPDX-License-Identifier: Apache-2.0

//go:build garbage

package garbage

import (
	"os"
	"runtime"
	"time"
)

// node is a piece of a heap that the collector has to walk.
type node struct {
	next *node
	_    [120]byte
}

const (
	live = 400 << 20 / 128
	rate = 300 << 20 / 128 // nodes a second
)

func chain(n int) *node {
	var last *node
	for range n {
		last = &node{next: last}
	}
	return last
}

// Start makes garbage from now on until the process ends.
func Start() {
	if os.Getenv("SAMSA_GARBAGE") != "on" {
		return
	}
	go func() {
		held := chain(live)
		began, made := time.Now(), 0
		for range time.Tick(time.Millisecond) {
			due := int(time.Since(began).Seconds() * rate)
			runtime.KeepAlive(chain(due - made))
			made = due
			runtime.KeepAlive(held)
		}
	}()
}
