// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// checkDocs asks for a comment on every package and every exported name. In a
// group of constants or variables one comment on the group is enough.
func checkDocs(t *tree, say func(*file, int, string, ...any)) {
	documented := map[string]bool{}
	first := map[string]*file{}
	for _, f := range t.files {
		if f.ast == nil || f.isTest() {
			continue
		}
		if first[f.room()] == nil {
			first[f.room()] = f
		}
		if f.ast.Doc != nil && strings.TrimSpace(f.ast.Doc.Text()) != "" {
			documented[f.room()] = true
		}
		for _, d := range f.ast.Decls {
			checkDeclDoc(f, d, say)
		}
	}
	for _, room := range slices.Sorted(maps.Keys(first)) {
		if !documented[room] {
			say(first[room], 1, "package %s has no doc comment", room)
		}
	}
}

func checkDeclDoc(f *file, d ast.Decl, say func(*file, int, string, ...any)) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
			say(f, f.line(d.Pos()), "%s is exported and has no doc comment", d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					say(f, f.line(s.Pos()), "%s is exported and has no doc comment", s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						say(f, f.line(n.Pos()), "%s is exported and has no doc comment", n.Name)
					}
				}
			}
		}
	}
}

// receiver gives the name of the type a method belongs to.
func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// checkSizes keeps files, functions, types and packages small. Tests may have
// long functions: a story is not made clearer by cutting it.
func checkSizes(t *tree, say func(*file, int, string, ...any)) {
	files := map[string]int{}
	first := map[string]*file{}
	methods := map[string]int{}
	where := map[string]*file{}
	for _, f := range t.files {
		if !f.isGo() {
			continue
		}
		if n := bytes.Count(f.data, []byte("\n")); n > fileLinesMax {
			say(f, 1, "%d lines, at most %d", n, fileLinesMax)
		}
		if f.isTest() || f.ast == nil {
			continue
		}
		if files[f.room()]++; first[f.room()] == nil {
			first[f.room()] = f
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.line(fn.End()) - f.line(fn.Pos()) + 1; n > funcLinesMax {
				say(f, f.line(fn.Pos()), "%s has %d lines, at most %d", fn.Name.Name, n, funcLinesMax)
			}
			if fn.Recv != nil {
				key := f.room() + "." + receiver(fn)
				methods[key]++
				where[key] = f
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(methods)) {
		if methods[key] > typeMethodsMax {
			say(where[key], 1, "%s has %d methods, at most %d", key, methods[key], typeMethodsMax)
		}
	}
	for _, room := range slices.Sorted(maps.Keys(files)) {
		if files[room] > packageFilesMax && room != "wire/api" {
			say(first[room], 1, "package %s has %d files, at most %d", room, files[room], packageFilesMax)
		}
	}
}

// checkSleep finds calls of Sleep through any name the time package was given.
func checkSleep(t *tree, say func(*file, int, string, ...any)) {
	for _, f := range t.files {
		if f.ast == nil || strings.HasPrefix(f.name, "benchmarks/") {
			continue
		}
		name := importedAs(f.ast, "time")
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == name {
				say(f, f.line(n.Pos()), "wait for the condition, with a deadline")
			}
			return true
		})
	}
}

func importedAs(f *ast.File, path string) string {
	for _, i := range f.Imports {
		if i.Path.Value == `"`+path+`"` {
			if i.Name != nil {
				return i.Name.Name
			}
			return path
		}
	}
	return "\x00"
}

func checkInit(t *tree, say func(*file, int, string, ...any)) {
	for _, f := range t.files {
		if f.ast == nil {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				say(f, f.line(fn.Pos()), "nothing registers itself: list it where it is used")
			}
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
				for _, s := range g.Specs {
					spec := s.(*ast.ImportSpec)
					if spec.Name != nil && spec.Name.Name == "." {
						say(f, f.line(s.Pos()), "no dot imports")
					}
				}
			}
		}
	}
}
