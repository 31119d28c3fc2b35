// SPDX-License-Identifier: Apache-2.0

// Package loggers keeps the broker's loggers and their levels, which operators
// change while it runs (kafka-configs --entity-type broker-loggers).
//
// There is a root logger and one for each package that has something to tell,
// named for it with "samsa" in front and dots for slashes. A logger without a
// level of its own has that of the nearest logger above it by its name, as in
// log4j: what is set on samsa.engine acts on samsa.engine.dir, too. At the start
// only the root has a level, INFO; nothing of what is set outlives the process.
//
// Every line ends with the name of its logger.
package loggers

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Names of the loggers.
const (
	Root       = "root"
	Broker     = "samsa"               // start and stop; changes of levels
	Config     = "samsa.config"        // keys that have no effect, or another than in Kafka
	Controller = "samsa.controller"    // what the store of the cluster's metadata had to repair
	Engine     = "samsa.engine"        // logs: cut, truncated, failed
	Dir        = "samsa.engine.dir"    // log directories and their journals; DEBUG: checkpoints, changes of pace
	Netpoll    = "samsa.netpoll"       // which backend was taken
	Replica    = "samsa.replica"       // partitions: appends refused, retention, what goes offline
	Group      = "samsa.replica.group" // why groups rebalance, who leaves them
	Server     = "samsa.wire.server"   // misbehaving peers; DEBUG: connections; TRACE: requests
)

var names = []string{Root, Broker, Config, Controller, Engine, Dir, Netpoll, Replica, Group, Server}

// LevelTrace and LevelFatal are the levels that log4j has and slog has not.
const (
	LevelTrace = slog.LevelDebug - 4
	LevelFatal = slog.LevelError + 4
)

// named is a level by log4j's name.
type named struct {
	name  string
	level slog.Level
}

// levels are all, from the least important on.
var levels = []named{
	{"TRACE", LevelTrace}, {"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo},
	{"WARN", slog.LevelWarn}, {"ERROR", slog.LevelError}, {"FATAL", LevelFatal},
}

// Tree is the loggers of one process. Any goroutine.
type Tree struct {
	out   slog.Handler
	nodes map[string]*node

	mu sync.Mutex // of the levels that are set
}

// node is one logger.
type node struct {
	set   bool          // level is its own; guarded by Tree.mu
	level slog.LevelVar // in force
}

// New makes the loggers, which write to w. Writes are one line each, one at a
// time.
func New(w io.Writer) *Tree {
	t := &Tree{nodes: map[string]*node{}}
	t.out = slog.NewTextHandler(w, &slog.HandlerOptions{Level: LevelTrace, ReplaceAttr: nameLevel})
	for _, name := range names {
		t.nodes[name] = &node{set: name == Root} // at INFO, the zero level
	}
	return t
}

// nameLevel prints a level as log4j calls it.
func nameLevel(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey {
		return slog.String(slog.LevelKey, levelName(level))
	}
	return a
}

func levelName(level slog.Level) string {
	name := levels[0].name
	for _, l := range levels {
		if l.level <= level {
			name = l.name
		}
	}
	return name
}

// Logger gives a logger by one of the names above.
func (t *Tree) Logger(name string) *slog.Logger {
	n := t.nodes[name]
	if n == nil {
		panic("BUG: loggers: there is no " + name)
	}
	return slog.New(&handler{Handler: t.out, name: name, level: &n.level})
}

// Levels gives the level in force of each logger.
func (t *Tree) Levels() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[string]string, len(t.nodes))
	for name, n := range t.nodes {
		out[name] = levelName(n.level.Level())
	}
	return out
}

// SetLevel gives a logger a level of its own, one of TRACE, DEBUG, INFO, WARN,
// ERROR and FATAL. Both must exist.
func (t *Tree) SetLevel(name, level string) {
	i := slices.IndexFunc(levels, func(l named) bool { return l.name == level })
	if i < 0 || t.nodes[name] == nil {
		panic("BUG: loggers: " + name + " cannot have level " + level)
	}
	t.change(name, true, levels[i].level)
	t.Logger(Broker).Warn("log level set", "of", name, "level", level)
}

// UnsetLevel takes a logger's own level back. The root must keep one.
func (t *Tree) UnsetLevel(name string) {
	if name == Root || t.nodes[name] == nil {
		panic("BUG: loggers: " + name + " cannot be without a level")
	}
	t.change(name, false, 0)
	t.Logger(Broker).Warn("log level unset", "of", name)
}

func (t *Tree) change(name string, set bool, level slog.Level) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.nodes[name]
	if n.set = set; set {
		n.level.Set(level)
	}
	for name, n := range t.nodes {
		if !n.set {
			n.level.Set(t.nearest(name).level.Level())
		}
	}
}

// nearest is the logger above name that has a level of its own.
func (t *Tree) nearest(name string) *node {
	for {
		i := strings.LastIndexByte(name, '.')
		if i < 0 {
			return t.nodes[Root]
		}
		name = name[:i]
		if n := t.nodes[name]; n != nil && n.set {
			return n
		}
	}
}

// handler is one logger's: it lets through what its level allows.
type handler struct {
	slog.Handler
	name  string
	level *slog.LevelVar
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(slog.String("logger", h.name))
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.name, h.level}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.name, h.level}
}
