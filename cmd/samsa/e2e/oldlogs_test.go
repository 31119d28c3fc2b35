// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Log directories of the formats of Kafka 0.9 and 0.10, left behind by a clean
// stop and by kill -9, open and serve to old consumers and to new ones what
// their own broker served; what is produced then stands behind it, and all of it
// is there after a restart.
func TestOldLogDirectories(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"magic0-clean", "magic0-killed", "magic1-clean", "magic1-killed"} {
		t.Run(name, func(t *testing.T) {
			from := filepath.Join(root, "testdata/logs/old", name)
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(from, "logs"))); err != nil {
				t.Fatal(err)
			}
			b := Start(t, Options{Dir: dir, Props: map[string]string{"log.index.size.max.bytes": OldIndexBytes}})
			check := func(b *Broker, more ...string) {
				t.Helper()
				for _, topic := range OldTopics {
					for _, version := range OldFetches {
						text, err := os.ReadFile(filepath.Join(from, fmt.Sprintf("%s-v%d.txt", topic, version)))
						if err != nil {
							t.Fatal(err)
						}
						want := strings.Split(strings.TrimSpace(string(text)), "\n")
						got := ReadThrough(Dial(t, b.Addr), topic, version)
						n := len(want) - 1 // and how it ended
						if n == 0 || len(got) != n+1+len(more) || !slices.Equal(got[:n], want[:n]) {
							t.Errorf("%s, Fetch v%d: %d lines\n%s\nwant %d\n%s", topic, version, len(got), strings.Join(got, "\n"), len(want), text)
							continue
						}
						for i, value := range more {
							if !strings.Contains(got[n+i], value) {
								t.Errorf("%s, Fetch v%d: behind the old records stands %s", topic, version, got[n+i])
							}
						}
					}
				}
			}
			check(b)
			for _, topic := range OldTopics {
				Produce(t, b.Addr, topic, 0, []string{"goes on"})
			}
			check(b, "goes on")
			b.Kill()
			check(b.Again(), "goes on")
		})
	}
}
