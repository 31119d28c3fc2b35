// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/frame"
)

// below are the rooms whose errors can reach a handler.
var below = []string{"engine", "engine/batch", "engine/vfs", "replica", "replica/fetch", "replica/group", "replica/txn", "controller/meta", "config", "wire/frame", "wire/auth"}

// sentinels lists the exported Err... variables of a package directory.
func sentinels(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, id := range s.(*ast.ValueSpec).Names {
					if strings.HasPrefix(id.Name, "Err") && id.IsExported() {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	return names
}

// Every exported error of the packages below has a row in the table: none can
// reach a client as UNKNOWN_SERVER_ERROR because somebody forgot it.
func TestEveryErrorHasARow(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := s.X.(*ast.Ident); ok && strings.HasPrefix(s.Sel.Name, "Err") {
				rows[pkg.Name+"."+s.Sel.Name] = true
			}
		}
		return true
	})
	checked := 0
	for _, room := range below {
		for _, name := range sentinels(t, filepath.Join("..", "..", filepath.FromSlash(room))) {
			checked++
			if key := filepath.Base(room) + "." + name; !rows[key] {
				t.Errorf("%s has no row in errors.go", key)
			}
		}
	}
	if checked < 40 {
		t.Fatalf("only %d errors were found: are the packages where they were?", checked)
	}
}

func TestCode(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want frame.ErrorCode
	}{
		{nil, frame.None},
		{fmt.Errorf("wrapped: %w", replica.ErrNotLeader), frame.NotLeaderOrFollower},
		{fmt.Errorf("%w: 7", engine.ErrOffsetOutOfRange), frame.OffsetOutOfRange},
		{batch.ErrInvalidTimestamp, frame.InvalidTimestamp},
		{Fail(frame.InvalidRequiredAcks, "x"), frame.InvalidRequiredAcks},
		{fmt.Errorf("y: %w", Fail(frame.PolicyViolation, "x")), frame.PolicyViolation},
		{fmt.Errorf("nobody knows this"), frame.UnknownServerError},
	} {
		if got := Code(tc.err); got != tc.want {
			t.Errorf("%v is %v, want %v", tc.err, got, tc.want)
		}
	}
	if Message(nil) != nil || *Message(replica.ErrTimedOut) != "replica: timed out" {
		t.Error("messages")
	}
}
