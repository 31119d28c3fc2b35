// SPDX-License-Identifier: Apache-2.0

package loggers

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// said is what each logger lets through, from TRACE to FATAL.
func said(t *Tree, out *bytes.Buffer, name string) string {
	out.Reset()
	for _, l := range levels {
		t.Logger(name).Log(context.Background(), l.level, "hello", "k", 1)
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		_, rest, _ := strings.Cut(line, "level=")
		level, rest, _ := strings.Cut(rest, " ")
		if want := "msg=hello k=1 logger=" + name + "\n"; rest != want {
			return fmt.Sprintf("%q instead of %q", rest, want)
		}
		names = append(names, level)
	}
	return strings.Join(names, " ")
}

// A level acts at once, on the logger and on those below it that have none of
// their own; what is unset gets that of the nearest one above.
func TestLevels(t *testing.T) {
	var out bytes.Buffer
	tree := New(&out)
	same := func(name, want string) {
		t.Helper()
		if got := said(tree, &out, name); got != want {
			t.Errorf("%s says %s, want %s", name, got, want)
		}
		if first, _, _ := strings.Cut(want, " "); tree.Levels()[name] != first {
			t.Errorf("%s has level %s, want %s", name, tree.Levels()[name], first)
		}
	}
	for _, name := range names {
		same(name, "INFO WARN ERROR FATAL")
	}
	tree.SetLevel(Engine, "TRACE")
	same(Engine, "TRACE DEBUG INFO WARN ERROR FATAL")
	same(Dir, "TRACE DEBUG INFO WARN ERROR FATAL")
	same(Replica, "INFO WARN ERROR FATAL")
	tree.SetLevel(Dir, "ERROR")
	tree.SetLevel(Broker, "DEBUG")
	same(Server, "DEBUG INFO WARN ERROR FATAL") // samsa.wire is no logger
	same(Dir, "ERROR FATAL")
	tree.UnsetLevel(Engine)
	same(Engine, "DEBUG INFO WARN ERROR FATAL")
	same(Dir, "ERROR FATAL")
	tree.UnsetLevel(Broker)
	tree.SetLevel(Root, "FATAL")
	same(Engine, "FATAL")
	same(Dir, "ERROR FATAL")
	tree.UnsetLevel(Dir)
	same(Dir, "FATAL")
	tree.SetLevel(Root, "WARN")
	if got := out.String(); strings.Count(got, "log level set") != 1 || !strings.Contains(got, "of=root level=WARN logger=samsa") {
		t.Errorf("told of the change: %s", got)
	}
}

// A logger made before, with attributes and groups of its own, follows too.
func TestDerivedLoggersFollow(t *testing.T) {
	var out bytes.Buffer
	tree := New(&out)
	log := tree.Logger(Group).With("a", 1).WithGroup("g")
	log.Debug("unheard")
	tree.SetLevel(Group, "DEBUG")
	log.Debug("heard", "k", 2)
	if got := out.String(); strings.Contains(got, "unheard") || !strings.Contains(got, "level=DEBUG msg=heard a=1 g.k=2") {
		t.Errorf("said %s", got)
	}
}

// Levels change while others log and ask.
func TestLevelsSideBySide(t *testing.T) {
	tree := New(&bytes.Buffer{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 100 {
				tree.SetLevel(names[1+(i+n)%(len(names)-1)], levels[n%len(levels)].name)
				tree.Logger(Dir).Info("hello")
				tree.UnsetLevel(names[1+(i+n)%(len(names)-1)])
				tree.Levels()
			}
		})
	}
	wg.Wait()
	for name, level := range tree.Levels() {
		if level != "INFO" {
			t.Errorf("%s is left at %s", name, level)
		}
	}
}
