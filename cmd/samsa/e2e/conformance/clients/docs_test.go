// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// row is a client's line in docs/clients.md, cell by cell.
func row(t *testing.T, name string) []string {
	t.Helper()
	root, err := e2e.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| "+name+" |") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			return cells
		}
	}
	t.Fatalf("docs/clients.md has no row for %s", name)
	return nil
}

// docs/clients.md says of every client what its program shows.
func TestDocsSayWhatClientsShow(t *testing.T) {
	for _, c := range stock {
		cells := row(t, c.name)
		for column, step := range map[int]string{4: "admin", 5: "produce", 6: "idempotent", 7: "group", 8: "offset"} {
			if said, shown := cells[column] != "–", strings.Contains(c.shows, step); said != shown {
				t.Errorf("%s: the page says %q of %s, its program shows %q", c.name, cells[column], step, c.shows)
			}
		}
	}
}
