// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// module is the import path of the tree's root.
const module = "github.com/samsa-broker/samsa"

// tree is what was found on disk: every file, Go files parsed.
type tree struct {
	root  string
	files []*file
}

// file is one file of the tree.
type file struct {
	name string // slash-separated, from the root
	data []byte
	size int64

	fset *token.FileSet // Go files only
	ast  *ast.File      // nil when it is not Go or does not parse
	bad  error          // why it does not parse
}

func (f *file) isGo() bool   { return strings.HasSuffix(f.name, ".go") }
func (f *file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }
func (f *file) room() string { return path.Dir(f.name) }
func (f *file) line(p token.Pos) int {
	return f.fset.Position(p).Line
}

// isText tells whether the file can be read as text (no zero byte in its head).
func (f *file) isText() bool {
	return bytes.IndexByte(f.data[:min(len(f.data), 8<<10)], 0) < 0
}

// nested tells whether the file belongs to a module of its own below the root,
// whose imports are its own affair.
func (t *tree) nested(f *file) bool {
	for dir := f.room(); dir != "."; dir = path.Dir(dir) {
		if slices.ContainsFunc(t.files, func(f *file) bool { return f.name == dir+"/go.mod" }) {
			return true
		}
	}
	return false
}

// openTree reads all files below root but those that git ignores by a plain
// line of .gitignore, and git's own.
func openTree(root string) (*tree, error) {
	ignored, err := ignoredNames(filepath.Join(root, ".gitignore"))
	if err != nil {
		return nil, err
	}
	t := &tree{root: root}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if rel != "." && (d.Name() == ".git" || ignored(rel, d.IsDir())) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		t.files = append(t.files, newFile(rel, data))
		return nil
	})
	return t, err
}

func newFile(name string, data []byte) *file {
	f := &file{name: name, data: data, size: int64(len(data))}
	if f.isGo() {
		f.fset = token.NewFileSet()
		f.ast, f.bad = parser.ParseFile(f.fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
	}
	return f
}

// ignoredNames understands the lines this tree needs: "dir/", "*.ext", "name",
// and a leading slash for the root.
func ignoredNames(name string) (func(rel string, dir bool) bool, error) {
	data, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	lines := strings.Fields(string(data))
	for _, l := range lines {
		if strings.HasPrefix(l, "!") || strings.Contains(strings.Trim(l, "/"), "/") && strings.Contains(l, "*") {
			return nil, fmt.Errorf("%s: line %q is beyond what tidy understands", name, l)
		}
	}
	return func(rel string, dir bool) bool {
		for _, l := range lines {
			pattern := strings.TrimSuffix(l, "/")
			if strings.HasSuffix(l, "/") && !dir {
				continue
			}
			subject := path.Base(rel)
			if strings.Contains(pattern, "/") {
				pattern, subject = strings.TrimPrefix(pattern, "/"), rel
			}
			if ok, _ := path.Match(pattern, subject); ok {
				return true
			}
		}
		return false
	}, nil
}
