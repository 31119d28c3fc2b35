// SPDX-License-Identifier: Apache-2.0

package hostiletest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const corpusHead = "go test fuzz v1\n"

// encodeCorpus writes an input as the fuzz engine does.
func encodeCorpus(args []any) []byte {
	out := []byte(corpusHead)
	for _, a := range args {
		switch v := a.(type) {
		case []byte:
			out = fmt.Appendf(out, "[]byte(%q)\n", v)
		case string:
			out = fmt.Appendf(out, "string(%q)\n", v)
		default:
			out = fmt.Appendf(out, "%T(%v)\n", v, v)
		}
	}
	return out
}

// readCorpus reads the inputs in a folder, which need not be there, for a
// target of that type.
func readCorpus(dir string, target reflect.Type) (out [][]any, err error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		args, err := decodeCorpus(string(text), target)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, e.Name()), err)
		}
		out = append(out, args)
	}
	return out, err
}

func decodeCorpus(text string, target reflect.Type) (args []any, err error) {
	lines := strings.Split(strings.TrimSpace(strings.TrimPrefix(text, corpusHead)), "\n")
	if len(lines) != target.NumIn()-1 {
		return nil, fmt.Errorf("%d values, the target takes %d", len(lines), target.NumIn()-1)
	}
	for i, line := range lines {
		v, err := decodeValue(line, target.In(i+1))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		args = append(args, v)
	}
	return args, nil
}

// decodeValue reads one conversion, as []byte("x") or int16(-3) or byte('a').
func decodeValue(line string, t reflect.Type) (any, error) {
	e, err := parser.ParseExpr(line)
	if err != nil {
		return nil, err
	}
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return nil, fmt.Errorf("not a conversion")
	}
	begin, end := int(call.Args[0].Pos())-1, int(call.Args[0].End())-1
	word := line[begin:end]
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Slice:
		s, err := strconv.Unquote(word)
		v.SetBytes([]byte(s))
		return v.Interface(), err
	case reflect.String:
		s, err := strconv.Unquote(word)
		v.SetString(s)
		return v.Interface(), err
	case reflect.Bool:
		v.SetBool(word == "true")
		return v.Interface(), nil
	}
	if word[0] == '\'' {
		r, _, _, err := strconv.UnquoteChar(word[1:], '\'')
		if err != nil {
			return nil, err
		}
		word = strconv.Itoa(int(r))
	}
	if slices.Contains([]reflect.Kind{reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64}, t.Kind()) {
		n, err := strconv.ParseUint(word, 0, 64)
		v.SetUint(n)
		return v.Interface(), err
	}
	n, err := strconv.ParseInt(word, 0, 64)
	v.SetInt(n)
	return v.Interface(), err
}
