// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The tree keeps its rules.
func TestTree(t *testing.T) {
	tree, err := openTree("../..")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(tree.files, func(f *file) bool { return f.name == "cmd/tidy/main.go" }) {
		t.Fatal("this is not the tree: cmd/tidy/main.go was not found")
	}
	for _, f := range check(tree) {
		t.Error(f)
	}
}

// Every rule finds what it is for: a tree with one fault each gives one finding
// of that rule, and the same tree without the fault none.
func TestRulesFind(t *testing.T) {
	const head = licenceLine + "\n\n"
	const doc = head + "// Package x is here.\npackage x\n"
	long := func(n int) string { return "func f() {\n" + strings.Repeat("\tf()\n", n) + "}\n" }
	methods := "\ntype m struct{}\n" + strings.Repeat("\n", 1)
	for i := range 31 {
		methods += fmt.Sprintf("func (m) f%d() {}\n", i)
	}
	tests := []struct{ rule, name, text, want string }{
		{"import", "engine/x.go", doc + "\nimport _ \"" + module + "/replica\"\n", "engine may not import replica"},
		{"import", "engine/x_test.go", head + "package x\n\nimport _ \"" + module + "/replica\"\n", "a test of engine may not import replica"},
		{"import", "wire/api/x.go", doc + "\nimport _ \"" + module + "/engine/dir\"\n", "wire/api may not import engine/dir"},
		{"import", "engine/x.go", doc + "\nimport _ \"go.etcd.io/bbolt\"\n", "engine may not import go.etcd.io/bbolt"},
		{"import", "engine/x.go", doc + "\nimport _ \"pgregory.net/rapid\"\n", "engine may not import pgregory.net/rapid"},
		{"import", "engine/x.go", doc + "\nimport _ \"example.com/new\"\n", "engine may not import example.com/new"},
		{"import", "util/x.go", doc, "room util is not in the graph"},
		{"licence", "engine/x.go", "// Package x is here.\npackage x\n", "SPDX"},
		{"format", "engine/x.go", doc + "\nvar  a int\n", "gofmt"},
		{"format", "engine/x.go", doc + "\nfunc\n", "expected"},
		{"doc", "engine/x.go", head + "package x\n", "no doc comment"},
		{"doc", "engine/x.go", doc + "\nfunc F() {}\n", "F is exported"},
		{"doc", "engine/x.go", doc + "\ntype T int\n", "T is exported"},
		{"doc", "engine/x.go", doc + "\n// T is one.\ntype T int\n\nfunc (t *T) M() {}\n", "M is exported"},
		{"doc", "engine/x.go", doc + "\nvar V int\n", "V is exported"},
		{"size", "engine/x.go", doc + strings.Repeat("\n// x\n", 500), "lines, at most 800"},
		{"size", "engine/x.go", doc + "\n" + long(80), "f has 82 lines"},
		{"size", "engine/x.go", doc + methods, "31 methods"},
		{"sleep", "engine/x_test.go", head + "package x\n\nimport tm \"time\"\n\nfunc f() { tm.Sleep(1) }\n", "wait"},
		{"init", "engine/x.go", doc + "\nfunc init() {}\n", "registers"},
		{"todo", "README.md", "a TO" + "DO here\n", "issue"},
		{"blob", "docs/x.bin", strings.Repeat("\x00", blobBytesMax+1), "KiB"},
		{"machine", "README.md", "see /wo" + "rk/x\n", "names a machine"},
		{"machine", "Makefile", "x: /tm" + "p/x\n", "names a machine"},
		{"machine", "Makefile", "GOPROXY=https://proxy.golang" + ".org\n", "registry"},
	}
	for _, tc := range tests {
		tr := &tree{files: []*file{newFile(tc.name, []byte(tc.text))}}
		got := check(tr)
		if !slices.ContainsFunc(got, func(f finding) bool { return f.rule == tc.rule && strings.Contains(f.text, tc.want) }) {
			t.Errorf("%s in %s: want %q, got %v", tc.rule, tc.name, tc.want, got)
		}
	}
	clean := &tree{files: []*file{
		newFile("engine/x.go", []byte(doc+"\n// F is.\nfunc F() {}\n\nfunc g() {\n"+strings.Repeat("\tF()\n", 60)+"}\n")),
		newFile("README.md", []byte("log.dirs is "+kafkaLogs+" by default\n")),
		newFile("engine/x_test.go", []byte(head+"package x\n\nimport _ \"pgregory.net/rapid\"\n")),
		newFile("peers/go/go.mod", []byte("module peers\n")),
		newFile("peers/go/x/x.go", []byte(doc+"\nimport _ \"example.com/new\"\n")),
		newFile("replica/x_test.go", []byte(head+"package x\n\nimport _ \""+module+"/engine/journal\"\n")),
	}}
	for _, f := range check(clean) {
		if f.rule != "doc" { // replica has no product file here
			t.Error("a clean tree:", f)
		}
	}
	var many []*file
	for i := range packageFilesMax + 1 {
		many = append(many, newFile(fmt.Sprintf("engine/x%d.go", i), []byte(doc)))
	}
	if got := check(&tree{files: many}); len(got) != 1 || !strings.Contains(got[0].text, "21 files") {
		t.Error("many files:", got)
	}
}

// An exception silences one rule in one file; one that nothing needs is a
// finding, and so is a list that grew.
func TestExceptions(t *testing.T) {
	fault := newFile("engine/x.go", []byte(licenceLine+"\n\npackage x\n"))
	list := newFile(exceptionsFile, []byte("# why\ndoc engine/x.go\ndoc engine/gone.go\n"))
	got := except(&tree{files: []*file{list}}, []finding{{"doc", fault.name, 1, "x"}, {"size", fault.name, 1, "x"}})
	var text []string
	for _, f := range got {
		text = append(text, f.String())
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{"engine/x.go:1: size", "gone.go\" is not needed", "2 exceptions, 0 are allowed"} {
		if !strings.Contains(all, want) {
			t.Errorf("want %q in\n%s", want, all)
		}
	}
	if len(got) != 3 {
		t.Errorf("got\n%s", all)
	}
}

// The graph has no cycle: whatever a room may import lies below it.
func TestGraphRunsOneWay(t *testing.T) {
	g, err := parseGraph(rooms)
	if err != nil {
		t.Fatal(err)
	}
	var walk func(room string, path []string)
	walk = func(room string, path []string) {
		if slices.Contains(path, room) {
			t.Fatalf("cycle: %v", append(path, room))
		}
		for next := range g.direct[room] {
			walk(next, append(slices.Clone(path), room))
		}
	}
	for room := range g.direct {
		walk(room, nil)
	}
	if _, err := parseGraph("a b < c"); err == nil {
		t.Error("a line that cannot be read was read")
	}
}
