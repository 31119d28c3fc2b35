// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sort"
	"strings"

	"github.com/magiconair/properties"
)

// maxFileBytes is far above any server.properties.
const maxFileBytes = 4 << 20

// NoticeKind says what a Notice is about.
type NoticeKind uint8

// The kinds of notices.
const (
	Unknown     NoticeKind = iota // neither Kafka 3.9 nor Samsa knows the key
	WithoutUse                    // known, without effect here
	NotYet                        // known, without effect yet
	Overpowered                   // another key that is set wins
	Unusable                      // what was set at run time does not fit
)

// Notice is one line that the operator should see once.
type Notice struct {
	Kind NoticeKind
	Key  string
	Why  string // a sentence
}

// String is the line.
func (n Notice) String() string {
	switch n.Kind {
	case NotYet:
		return n.Key + " has no effect yet: " + n.Why
	case WithoutUse:
		return n.Key + " has no effect: " + n.Why
	}
	return n.Key + " is ignored: " + n.Why
}

// LoadFile is Load on a file; an empty path means no file.
func LoadFile(path string, overrides []string) (*Broker, []Notice, error) {
	if path == "" {
		return Load(nil, overrides)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("config: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	return Load(f, overrides)
}

// Load reads a Java properties file (nil: none), lays overrides ("key=value",
// the last one wins) over it and checks the whole. The notices are sorted by
// key. The error joins a *ValueError for everything that is wrong.
func Load(r io.Reader, overrides []string) (*Broker, []Notice, error) {
	set, err := read(r)
	if err != nil {
		return nil, nil, err
	}
	var faults []error
	for _, o := range overrides {
		key, value, ok := strings.Cut(o, "=")
		if key = trim(key); !ok || key == "" {
			faults = append(faults, fmt.Errorf("%w: override %q is not key=value", ErrInvalid, o))
			continue
		}
		set[key] = value
	}
	b := &Broker{set: map[string]string{}, extra: map[string]string{}, from: layers{file: map[string]string{}}}
	var notices []Notice
	for _, name := range names(set) {
		key := brokerIndex[name]
		if key == nil {
			b.extra[name] = set[name]
			if !actsForListener(name) {
				notices = append(notices, stranger(name))
			}
			continue
		}
		value, err := key.Parse(set[name])
		if err != nil {
			faults = append(faults, err)
			continue
		}
		b.set[name] = value
		switch key.Effect {
		case Later:
			notices = append(notices, Notice{Kind: NotYet, Key: name, Why: key.Why})
		case None:
			notices = append(notices, Notice{Kind: WithoutUse, Key: name, Why: key.Why})
		}
	}
	overpowered, more := b.settle()
	if faults = append(faults, more...); len(faults) > 0 {
		return nil, nil, errors.Join(faults...)
	}
	maps.Copy(b.from.file, b.set)
	maps.Copy(b.from.file, b.extra)
	notices = append(notices, overpowered...)
	sort.SliceStable(notices, func(i, j int) bool { return notices[i].Key < notices[j].Key })
	return b, notices, nil
}

// read parses the file as Java does: Latin-1, no expansion of ${}.
func read(r io.Reader) (map[string]string, error) {
	if r == nil {
		return map[string]string{}, nil
	}
	text, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("%w: the file is larger than %d bytes", ErrInvalid, maxFileBytes)
	}
	loader := properties.Loader{Encoding: properties.ISO_8859_1, DisableExpansion: true}
	p, err := loader.LoadBytes(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	return p.Map(), nil
}

func names(m map[string]string) []string {
	list := make([]string, 0, len(m))
	for name := range m {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

// stranger is the notice about a key that is in no table: some belong to a
// listener or a plugin, the rest is probably misspelt.
func stranger(name string) Notice {
	for _, p := range []struct{ prefix, why string }{
		{listenerKeys, "of the keys of a single listener only max.connections and max.connection.creation.rate are supported yet"},
		{"rsm.config.", whyTiered}, // keys that Kafka hands on to a plugin
		{"rlmm.config.", whyTiered},
	} {
		if strings.HasPrefix(name, p.prefix) {
			return Notice{Kind: NotYet, Key: name, Why: p.why}
		}
	}
	return Notice{Kind: Unknown, Key: name, Why: "neither Kafka 3.9 nor Samsa has such a key"}
}
