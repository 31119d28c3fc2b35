// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }

// corpusMiB is the size of the file of lines: 64 MiB, the soak takes 1024.
func corpusMiB() int {
	if n, err := strconv.Atoi(os.Getenv("SAMSA_CORPUS_MIB")); err == nil && n > 0 {
		return n
	}
	return 64
}

// A file of lines goes in by kcat and comes out equal, with every codec.
func TestKcatFileComesOutEqual(t *testing.T) {
	kcat := Program(t, "kcat")
	b := e2e.Start(t, e2e.Options{})
	lines := filepath.Join(t.TempDir(), "lines")
	want := writeLines(t, lines, corpusMiB()<<20)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			topic := "lines-" + codec
			e2e.CreateTopic(t, b.Addr, topic, 1, nil)
			Run(t, nil, kcat, "-b", b.Addr, "-P", "-t", topic, "-p", "0", "-z", codec, "-l", lines, "-X", "queue.buffering.max.kbytes=131072")
			got := sha256.New()
			cmd := exec.Command(kcat, "-b", b.Addr, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true")
			cmd.Stdout, cmd.Stderr = got, os.Stderr
			if err := cmd.Run(); err != nil {
				t.Fatalf("kcat -C: %v", err)
			}
			if sum := fmt.Sprintf("%x", got.Sum(nil)); sum != want {
				t.Fatalf("sha256 %s came out, %s went in", sum, want)
			}
			e2e.CreateTopic(t, b.Addr, topic+"-done", 1, nil)
			Run(t, nil, e2e.Binary(t), "topics", "delete", "--bootstrap-server", b.Addr, "--topic", topic)
		})
	}
}

// writeLines writes numbered lines of words and returns the file's sha256.
func writeLines(t *testing.T, name string, bytes int) string {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	w := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(1, 1))
	for n, size := 0, 0; size < bytes; n++ {
		line := fmt.Sprintf("%09d %s %x\n", n, strings.Repeat("samsa ", rng.IntN(20)), rng.Uint64())
		size += len(line)
		_, _ = sum.Write([]byte(line))
		if _, err := w.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// Keys, offsets, timestamps, groups and metadata, as kcat shows them.
func TestKcatReadsPlaces(t *testing.T) {
	kcat := Program(t, "kcat")
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "places", 3, nil)
	Run(t, strings.NewReader("a:1\nb:2\nc:3\nd:4\n"), kcat, "-b", b.Addr, "-P", "-t", "places", "-K:")
	if out := Run(t, nil, kcat, "-b", b.Addr, "-L", "-t", "places"); !strings.Contains(out, `topic "places" with 3 partitions`) {
		t.Errorf("kcat -L: %s", out)
	}
	out := Run(t, nil, kcat, "-b", b.Addr, "-C", "-t", "places", "-e", "-q", "-o", "beginning", "-f", "%k=%s\n")
	for _, want := range []string{"a=1", "b=2", "c=3", "d=4"} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("%s is missing from %q", want, out)
		}
	}
	out = Run(t, nil, kcat, "-b", b.Addr, "-G", "kcats", "-X", "auto.offset.reset=earliest", "-e", "-q", "places")
	if n := strings.Count(out, "\n"); n != 4 {
		t.Errorf("the group read %d records: %q", n, out)
	}
}

// A group goes on where its last kcat stopped; offsets are found by time, and a
// reader starts there.
func TestKcatRewindsAndResumes(t *testing.T) {
	kcat := Program(t, "kcat")
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "rewound", 1, nil)
	send := func(lines string) {
		Run(t, strings.NewReader(lines), kcat, "-b", b.Addr, "-P", "-t", "rewound", "-p", "0", "-X", "enable.idempotence=true", "-H", "h=1")
	}
	group := func() string {
		return Run(t, nil, kcat, "-b", b.Addr, "-G", "resuming", "-X", "auto.offset.reset=earliest", "-e", "-q", "rewound")
	}
	send("a\nb\n")
	if out := group(); out != "a\nb\n" {
		t.Errorf("the group's first kcat read %q", out)
	}
	send("c\nd\n")
	if out := group(); out != "c\nd\n" {
		t.Errorf("the group's second kcat read %q", out)
	}
	from := func(offset, format string) string {
		return Run(t, nil, kcat, "-b", b.Addr, "-C", "-t", "rewound", "-p", "0", "-o", offset, "-e", "-q", "-f", format)
	}
	if out := from("1", "%o %s %h\n"); out != "1 b h=1\n2 c h=1\n3 d h=1\n" {
		t.Errorf("from offset 1: %q", out)
	}
	stamp, _, _ := strings.Cut(from("2", "%T\n"), "\n")
	if out := from("s@"+stamp, "%s\n"); out != "c\nd\n" {
		t.Errorf("from the time %s of c: %q", stamp, out)
	}
	if out := Run(t, nil, kcat, "-b", b.Addr, "-Q", "-t", "rewound:0:"+stamp); !strings.Contains(out, "rewound [0] offset 2") {
		t.Errorf("the offset at %s: %q", stamp, out)
	}
}
