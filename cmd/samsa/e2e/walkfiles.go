// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A capture of the walk is a file for each API. Each question has three lines:
// version and kind, the request's body, and the answer's body or what came
// instead; "-" is a body of no bytes.

// SaveBodies writes what was heard into dir, a file for each API.
func SaveBodies(dir, software string, all []Heard) error {
	files := map[string]*strings.Builder{}
	for _, h := range all {
		name := strings.ToLower(kmsg.NameForKey(h.Key)) + ".txt"
		if files[name] == nil {
			files[name] = &strings.Builder{}
			fmt.Fprintf(files[name], "# %s, asked by the walk over every version of every API.\n", software)
		}
		answer := h.Instead
		if h.Answer != nil {
			answer = hexLine(h.Answer)
		}
		fmt.Fprintf(files[name], "v%d %s\n%s\n%s\n", h.Version, h.Kind, hexLine(h.Request), answer)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func hexLine(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}

// LoadBodies reads what SaveBodies wrote of an API.
func LoadBodies(dir string, key int16) ([]Heard, error) {
	name := filepath.Join(dir, strings.ToLower(kmsg.NameForKey(key))+".txt")
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
	var all []Heard
	for ; len(lines) >= 3; lines = lines[3:] {
		h := Heard{Key: key}
		version, kind, _ := strings.Cut(strings.TrimPrefix(lines[0], "v"), " ")
		v, err := strconv.ParseInt(version, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		h.Version, h.Kind = int16(v), kind
		if h.Request, err = unhexLine(lines[1]); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, &h, err)
		}
		if h.Instead = lines[2]; h.Instead != Closed && h.Instead != Silent {
			h.Instead = ""
			if h.Answer, err = unhexLine(lines[2]); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, &h, err)
			}
		}
		all = append(all, h)
	}
	return all, nil
}

func unhexLine(line string) ([]byte, error) {
	if line == "-" {
		return []byte{}, nil
	}
	return hex.DecodeString(line)
}

// Against holds what was heard against what dir has of it: requests and answers
// field by field, a line for each difference.
func (w *Walk) Against(dir string, heard []Heard) (differences []string, err error) {
	recorded := map[string]Heard{}
	for key := range w.Serves {
		all, err := LoadBodies(dir, key)
		if err != nil {
			return nil, err
		}
		for _, h := range all {
			recorded[h.String()] = h
		}
	}
	k := &Known{Serves: w.Serves} // an id is some id
	for _, h := range heard {
		was, ok := recorded[h.String()]
		if !ok {
			differences = append(differences, h.String()+" was not captured")
			continue
		}
		delete(recorded, h.String())
		asked, answered, err := k.told(&h)
		wasAsked, wasAnswered, err2 := k.told(&was)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		for _, d := range Diff(asked, wasAsked) {
			differences = append(differences, h.String()+" asks "+d)
		}
		for _, d := range Diff(answered, wasAnswered) {
			differences = append(differences, h.String()+" "+d)
		}
	}
	for name := range recorded {
		differences = append(differences, name+" was captured and is not asked")
	}
	return differences, nil
}

// told are the lines of a request and of what came back, decoded.
func (k *Known) told(h *Heard) (asked, answered []string, err error) {
	req := kmsg.RequestForKey(h.Key)
	req.SetVersion(h.Version)
	if err := req.ReadFrom(h.Request); err != nil {
		return nil, nil, fmt.Errorf("%s: request: %w", h, err)
	}
	asked = k.Lines(req)
	if h.Answer == nil {
		return asked, []string{".Instead=" + h.Instead}, nil
	}
	resp := req.ResponseKind()
	resp.SetVersion(h.Version)
	if err := resp.ReadFrom(h.Answer); err != nil {
		return nil, nil, fmt.Errorf("%s: answer: %w", h, err)
	}
	return asked, k.Lines(resp), nil
}

// AgainstLimits gives the lines that what FormatLimits wrote and what dir has do not share.
func AgainstLimits(dir, limits string) (differences []string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "limits.txt"))
	if err != nil {
		return nil, err
	}
	ours, kafkas := strings.Split(limits, "\n"), strings.Split(string(text), "\n")
	for _, line := range ours {
		if !slices.Contains(kafkas, line) {
			differences = append(differences, line)
		}
	}
	for _, line := range kafkas {
		if !slices.Contains(ours, line) {
			differences = append(differences, "Kafka: "+line)
		}
	}
	slices.Sort(differences)
	return differences, nil
}
