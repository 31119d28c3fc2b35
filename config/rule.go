// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// Rule narrows the values of a type.
type Rule struct {
	min, max float64  // of numbers, when bounded
	bounded  bool     //
	other    *float64 // a number allowed outside of the bounds
	words    []string // of strings, or of a list's items
	anyCase  bool
	text     string                  // what is allowed, where check says it
	check    func(value string) bool // of the whole value
}

func atLeast(low float64) *Rule { return &Rule{min: low, max: math.MaxFloat64, bounded: true} }

func between(low, high float64) *Rule { return &Rule{min: low, max: high, bounded: true} }

func atLeastOr(low, other float64) *Rule {
	return &Rule{min: low, max: math.MaxFloat64, bounded: true, other: &other}
}

func betweenOr(low, high, other float64) *Rule {
	return &Rule{min: low, max: high, bounded: true, other: &other}
}

func oneOf(words ...string) *Rule   { return &Rule{words: words} }
func listOf(words ...string) *Rule  { return &Rule{words: words} }
func anyCase(words ...string) *Rule { return &Rule{words: words, anyCase: true} }

// Rules of single keys.
var (
	nonEmpty = &Rule{text: "a text that is not empty", check: func(v string) bool { return v != "" }}

	protocolVersion = &Rule{text: "a Kafka version from 0.8.0 to 3.9, such as 2.8 or 3.9-IV0", check: knownVersion}

	throttledReplicas = &Rule{text: "*, or partition:broker, separated by commas", check: func(v string) bool {
		return v == "" || v == "*" || throttledPattern.MatchString(v)
	}}

	adminAddress = &Rule{text: `host:port, or "none"`, check: func(v string) bool {
		if v == "none" {
			return true
		}
		_, port, err := net.SplitHostPort(v)
		if err != nil {
			return false
		}
		_, err = strconv.ParseUint(port, 10, 16)
		return err == nil
	}}
)

var throttledPattern = regexp.MustCompile(`^[0-9]+:[0-9]+(\s*,\s*[0-9]+:[0-9]+)*$`)

// lastIV names the highest interim version of each release; releases before
// 0.10 have none.
var lastIV = map[string]int{"0.8.0": -1, "0.8.1": -1, "0.8.2": -1, "0.9.0": -1, "0.10.0": 1, "0.10.1": 2, "0.10.2": 0,
	"0.11.0": 2, "1.0": 0, "1.1": 0, "2.0": 1, "2.1": 2, "2.2": 1, "2.3": 1, "2.4": 1, "2.5": 0, "2.6": 0, "2.7": 2,
	"2.8": 1, "3.0": 1, "3.1": 0, "3.2": 0, "3.3": 3, "3.4": 0, "3.5": 2, "3.6": 2, "3.7": 4, "3.8": 0, "3.9": 0}

var versionPattern = regexp.MustCompile(`^(0\.[0-9]+\.[0-9]+|[1-9][0-9]*\.[0-9]+)(?:\.[0-9]+)*(?:-IV([0-9]))?$`)

// knownVersion accepts releases, their patches and their interim versions.
func knownVersion(v string) bool {
	m := versionPattern.FindStringSubmatch(v)
	if m == nil {
		return false
	}
	last, known := lastIV[m[1]]
	if !known || m[2] == "" {
		return known
	}
	iv, err := strconv.Atoi(m[2])
	return err == nil && iv <= last
}

// trim drops what Java's String.trim drops.
func trim(v string) string {
	return strings.TrimFunc(v, func(r rune) bool { return r <= ' ' })
}

// items splits a list as Kafka does; blanks around commas do not count.
func items(v string) []string {
	if trim(v) == "" {
		return nil
	}
	parts := strings.Split(v, ",")
	for i := range parts {
		parts[i] = trim(parts[i])
	}
	return parts
}

// check tells whether a trimmed value is right, and what would be.
func (k *Key) check(v string) (allowed string, ok bool) {
	switch k.Type {
	case Boolean:
		low := strings.ToLower(v)
		return "want true or false", low == "true" || low == "false"
	case Int:
		return k.checkInteger(v, 32, "an integer")
	case Short:
		return k.checkInteger(v, 16, "an integer up to 32767")
	case Long:
		return k.checkInteger(v, 64, "an integer")
	case Double:
		f, err := strconv.ParseFloat(v, 64)
		return k.Valid.numbers("a number"), err == nil && k.Valid.holds(f)
	case List:
		return k.Valid.checkList(v)
	case String, Class, Password:
		return k.Valid.checkWord(v)
	}
	panic(fmt.Sprintf("BUG: config: key %s has %s", k.Name, k.Type))
}

func (k *Key) checkInteger(v string, bits int, what string) (allowed string, ok bool) {
	n, err := strconv.ParseInt(v, 10, bits)
	return k.Valid.numbers(what), err == nil && k.Valid.holds(float64(n))
}

func (r *Rule) holds(f float64) bool {
	if r == nil || !r.bounded {
		return true
	}
	return f >= r.min && f <= r.max || r.other != nil && f == *r.other
}

// numbers says what the bounds allow.
func (r *Rule) numbers(what string) string {
	if r == nil || !r.bounded {
		return "want " + what
	}
	text := fmt.Sprintf("want %s from %v to %v", what, whole(r.min), whole(r.max))
	if r.max == math.MaxFloat64 {
		text = fmt.Sprintf("want %s of at least %v", what, whole(r.min))
	}
	if r.other != nil {
		text += fmt.Sprintf(", or %v", whole(*r.other))
	}
	return text
}

// whole prints 1000000 as such, not as 1e+06.
func whole(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (r *Rule) checkWord(v string) (allowed string, ok bool) {
	switch {
	case r == nil:
		return "", true
	case r.check != nil:
		return "want " + r.text, r.check(v)
	}
	return "want one of " + strings.Join(r.words, ", "), r.hasWord(v)
}

func (r *Rule) checkList(v string) (allowed string, ok bool) {
	switch {
	case r == nil:
		return "", true
	case r.check != nil:
		return "want " + r.text, r.check(v)
	}
	for _, item := range items(v) {
		if !r.hasWord(item) {
			return "want a list of " + strings.Join(r.words, ", "), false
		}
	}
	return "", true
}

func (r *Rule) hasWord(v string) bool {
	for _, w := range r.words {
		if v == w || r.anyCase && strings.EqualFold(v, w) {
			return true
		}
	}
	return false
}
