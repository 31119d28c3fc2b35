// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// captures is given by `make captures`, which takes the captures in testdata
// anew. Of each version of each API testdata/wire has the first exchange that
// went well and the first that was refused, taken with cmd/wirecap, and
// testdata/walk the walk with every kind of body.
var captures = flag.String("captures", "", "folder to write captures of a real Kafka's answers to (for testdata)")

// recorder is a running wirecap.
type recorder struct {
	t    *testing.T
	addr string
	dir  string
	cmd  *exec.Cmd
	kept map[string]string // a capture's place in testdata/wire, and where it is
}

// record starts a wirecap before a broker; nil when no captures are wanted.
func record(t *testing.T, broker string) *recorder {
	t.Helper()
	if *captures == "" {
		return nil
	}
	root, err := e2e.Root()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "wirecap")
	build := exec.Command("go", "build", "-o", bin, "./cmd/wirecap")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./cmd/wirecap: %v\n%s", err, out)
	}
	r := &recorder{t: t, dir: t.TempDir(), kept: map[string]string{}}
	r.cmd = exec.Command(bin, "--broker", broker, "--out", r.dir, "--software", "Apache Kafka 3.9.2, asked by the differential test", "--max-bytes", "4096")
	r.cmd.Stderr = os.Stderr
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill(); _ = r.cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	r.addr = strings.TrimSpace(strings.TrimPrefix(line, "listening "))
	return r
}

// answered keeps an exchange if it is the first of its kind: good, or refused.
func (r *recorder) answered(req kmsg.Request, name string, good bool) {
	if r == nil {
		return
	}
	kind := "refused"
	if good {
		kind = "good"
	}
	api := strings.ToLower(kmsg.NameForKey(req.Key()))
	place := filepath.Join(api, fmt.Sprintf("v%d_%s.txt", req.GetVersion(), kind))
	if r.kept[place] != "" {
		return
	}
	// wirecap writes before it passes the answer on; what is too large it does not write.
	file := filepath.Join(r.dir, api, fmt.Sprintf("v%d_%s.txt", req.GetVersion(), notInNames.ReplaceAllString(name, "_")))
	if _, err := os.Stat(file); err == nil {
		r.kept[place] = file
	}
}

// notInNames is what wirecap replaces in the names of its files.
var notInNames = regexp.MustCompile(`[^a-zA-Z0-9.-]`)

// save puts what was kept into its place.
func (r *recorder) save() {
	if r == nil {
		return
	}
	for place, file := range r.kept {
		text, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		to := filepath.Join(*captures, "wire", place)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}
