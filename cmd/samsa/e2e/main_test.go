// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"strconv"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// rounds is how often a repeated scenario runs: few by default, the soak's full
// count through the environment.
func rounds(t *testing.T, key string, few int) int {
	t.Helper()
	if value := os.Getenv(key); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q: want a number from 1", key, value)
		}
		return n
	}
	return few
}
