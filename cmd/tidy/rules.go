// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/format"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limits of shape.
const (
	fileLinesMax    = 800
	funcLinesMax    = 70
	typeMethodsMax  = 30
	packageFilesMax = 20
	blobBytesMax    = 256 << 10
)

const licenceLine = "// SPDX-License-Identifier: Apache-2.0"

// rule is one thing that is checked; run reports through say.
type rule struct {
	name string
	text string
	run  func(t *tree, say func(f *file, line int, format string, args ...any))
}

// finding is one broken rule at one place. Its key names it in exceptions.txt.
type finding struct {
	rule, file string
	line       int
	text       string
}

func (f finding) key() string { return f.rule + " " + f.file }

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.file, f.line, f.rule, f.text)
}

// rules lists everything tidy checks.
func rules() []rule {
	return []rule{
		{"import", "rooms import each other one way, as the graph says; other modules only where they belong", checkImports},
		{"licence", "the first line of a Go file is its SPDX line, then a blank one", checkLicence},
		{"format", "Go files parse and are formatted", checkFormat},
		{"doc", "packages and exported names are documented", checkDocs},
		{"size", fmt.Sprintf("files <= %d lines; product functions <= %d lines, types <= %d methods, packages <= %d files (wire/api apart)",
			fileLinesMax, funcLinesMax, typeMethodsMax, packageFilesMax), checkSizes},
		{"sleep", "no call of time's Sleep outside of benchmarks: wait for a condition", checkSleep},
		{"init", "no init functions: what exists is listed where it is used", checkInit},
		{"todo", "no reminders left in the tree", checkReminders},
		{"blob", fmt.Sprintf("no file above %d KiB", blobBytesMax>>10), checkBlobs},
		{"machine", "no paths of the machine it was written on, no names of registries", checkMachine},
	}
}

func rulesText() string {
	var b strings.Builder
	b.WriteString("tidy checks:\n")
	for _, r := range rules() {
		fmt.Fprintf(&b, "  %-8s %s\n", r.name, r.text)
	}
	return b.String()
}

// check runs all rules and applies the exceptions of the tree.
func check(t *tree) []finding {
	var all []finding
	for _, r := range rules() {
		r.run(t, func(f *file, line int, format string, args ...any) {
			all = append(all, finding{r.name, f.name, line, fmt.Sprintf(format, args...)})
		})
	}
	return except(t, all)
}

// exceptionsFile holds one "RULE FILE" a line; the number of its lines may not
// grow beyond exceptionsMax, which is lowered when a line goes.
const (
	exceptionsFile = "cmd/tidy/exceptions.txt"
	exceptionsMax  = 0
)

func except(t *tree, all []finding) []finding {
	i := slices.IndexFunc(t.files, func(f *file) bool { return f.name == exceptionsFile })
	if i < 0 {
		return all
	}
	var out []finding
	used := map[string]bool{}
	listed := map[string]int{}
	for n, line := range strings.Split(string(t.files[i].data), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			listed[line] = n + 1
		}
	}
	for _, f := range all {
		if listed[f.key()] > 0 {
			used[f.key()] = true
			continue
		}
		out = append(out, f)
	}
	for key, line := range listed {
		if !used[key] {
			out = append(out, finding{"except", exceptionsFile, line, fmt.Sprintf("%q is not needed any more: remove it", key)})
		}
	}
	if len(listed) > exceptionsMax {
		out = append(out, finding{"except", exceptionsFile, 1, fmt.Sprintf("%d exceptions, %d are allowed: the list may only shrink", len(listed), exceptionsMax)})
	}
	slices.SortFunc(out, func(a, b finding) int { return strings.Compare(a.String(), b.String()) })
	return out
}

func checkImports(t *tree, say func(*file, int, string, ...any)) {
	g, err := parseGraph(rooms)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	modules := parseThirdParty(thirdParty)
	for _, f := range t.files {
		if f.ast == nil {
			continue
		}
		room := f.room()
		if !g.knows(room) {
			if !f.isTest() && !t.nested(f) {
				say(f, 1, "room %s is not in the graph", room)
			}
			continue
		}
		for _, spec := range f.ast.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			line := f.line(spec.Pos())
			ours, isOurs := strings.CutPrefix(name, module+"/")
			switch first, _, _ := strings.Cut(name, "/"); {
			case isOurs && f.isTest() && !g.mayTest(room, ours):
				say(f, line, "a test of %s may not import %s", room, ours)
			case isOurs && !f.isTest() && !g.mayImport(room, ours):
				say(f, line, "%s may not import %s", room, ours)
			case !isOurs && strings.Contains(first, ".") && !mayUse(modules, room, name, f.isTest()):
				say(f, line, "%s may not import %s", room, name)
			}
		}
	}
}

func checkLicence(t *tree, say func(*file, int, string, ...any)) {
	for _, f := range t.files {
		if f.isGo() && !strings.HasPrefix(string(f.data), licenceLine+"\n\n") {
			say(f, 1, "the first line must be %q, the second empty", licenceLine)
		}
	}
}

func checkFormat(t *tree, say func(*file, int, string, ...any)) {
	for _, f := range t.files {
		if !f.isGo() {
			continue
		}
		if f.bad != nil {
			say(f, 1, "%v", f.bad)
			continue
		}
		if out, err := format.Source(f.data); err != nil || string(out) != string(f.data) {
			say(f, 1, "gofmt would change it")
		}
	}
}

func checkBlobs(t *tree, say func(*file, int, string, ...any)) {
	for _, f := range t.files {
		if f.size > blobBytesMax {
			say(f, 1, "%d KiB", f.size>>10)
		}
	}
}

// The words are put together here, so that this file does not hold them.
var (
	reminders = regexp.MustCompile(`\b(` + "FIX" + "ME|TO" + "DO|XX" + `X)\b`)
	machine   = regexp.MustCompile(`(^|[^\w.])/` + `(work|home|root|Users)/[\w.]|` +
		`(^|[^\w.])/tm` + `p/[\w.]+|` +
		`\b(proxy|sum)\.golang` + `\.org|registry\.npmjs` + `\.org|\bpypi` + `\.org|pythonhosted` + `\.org|repo1?\.maven` + `|maven\.apache` + `\.org|deb\.debian` + `\.org|\bghcr` + `\.io`)
	// kafkaLogs is the default of log.dir since Kafka's first day.
	kafkaLogs = "/tm" + "p/kafka-logs"
)

func checkReminders(t *tree, say func(*file, int, string, ...any)) {
	eachLine(t, func(f *file, n int, line string) {
		if w := reminders.FindString(line); w != "" {
			say(f, n, "%s: do it or file it as an issue", w)
		}
	})
}

func checkMachine(t *tree, say func(*file, int, string, ...any)) {
	eachLine(t, func(f *file, n int, line string) {
		if w := machine.FindString(strings.ReplaceAll(line, kafkaLogs, "")); w != "" {
			say(f, n, "%q names a machine or a registry", strings.TrimSpace(w))
		}
	})
}

// eachLine visits the text files that people wrote: root testdata was written
// by other software, go.sum by the go command.
func eachLine(t *tree, fn func(f *file, n int, line string)) {
	for _, f := range t.files {
		if !f.isText() || strings.HasPrefix(f.name, "testdata/") || path.Base(f.name) == "go.sum" || f.name == "LICENSE" {
			continue
		}
		for i, line := range strings.Split(string(f.data), "\n") {
			fn(f, i+1, line)
		}
	}
}
