// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"archive/zip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/benchmarks/stats"
)

// written is a run as it is written down: two systems, one row, a void slot and
// a failed one among them.
const written = `{"commit":"abc","date":"2026-11-29","seed":1,"set":"ci","systems":["samsa","samsa-kafka","k39","k4","null"],"machine":{"Cores":2}}
{"row":"W12","contender":"samsa","block":0,"figures":{"acks":30000,"p99":2000}}
{"row":"W12","contender":"samsa","block":0,"figures":{"acks":31000,"p99":2100}}
{"row":"W12","contender":"samsa","block":0,"figures":{"acks":1,"p99":1},"void":"others used 9 % of the cores"}
{"row":"W12","contender":"k39+flush","block":0,"figures":{"acks":5000,"p99":20000}}
{"row":"W12","contender":"k39+flush","block":0,"figures":{"acks":5100,"p99":21000}}
{"row":"W12","contender":"k4+flush","block":0,"figures":{"acks":7000,"p99":15000}}
{"row":"W12","contender":"k4+flush","block":0,"figures":{"acks":7100,"p99":16000}}
{"row":"W12","contender":"k4+flush","block":0,"failed":"wrong answer"}
`

// A figure is judged against the better Kafka, and a disturbed or failed slot
// is no sample.
func TestTheBetterKafkaIsTheRival(t *testing.T) {
	r, err := readResult(strings.NewReader(written))
	if err != nil {
		t.Fatal(err)
	}
	ls := r.lines()
	if len(ls) != 2 {
		t.Fatalf("%d lines: %+v", len(ls), ls)
	}
	for _, l := range ls {
		if l.rival != "k4+flush" || l.samples != 2 || l.verdict != stats.Ahead {
			t.Errorf("%s is judged against %s with %d samples: %s", l.figure, l.rival, l.samples, l.verdict)
		}
	}
	if b := ls[0].better; b.Ratio < 4.2 || b.Ratio > 4.5 {
		t.Errorf("acks are %v times better", b)
	}
	var table, svg strings.Builder
	r.print(&table)
	r.plot(&svg)
	if !strings.Contains(table.String(), "8 slots, 1 void, 1 failed") {
		t.Errorf("the table does not count the slots:\n%s", table.String())
	}
	if strings.Count(svg.String(), "<circle") != 2 {
		t.Errorf("the plot has not one mark a figure:\n%s", svg.String())
	}
}

// Every row can be asked for by name, and no two share one.
func TestRowsAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows() {
		if seen[r.id] || r.story == "" || len(r.figures) == 0 || r.run == nil {
			t.Errorf("row %+v", r)
		}
		seen[r.id] = true
		for _, f := range r.figures {
			if f.aim < f.must || f.must != 0 && f.must < 1 {
				t.Errorf("%s %s: must %v, aim %v", r.id, f.name, f.must, f.aim)
			}
		}
		for _, b := range r.bounds { // what a bound names must be there, and its aim the harder end
			f, up := r.figure(b.figure), b.aim >= b.must
			if up != (b.of != "own" || !f.less) {
				t.Errorf("%s: the bound of %s: must %v, aim %v", r.id, b.figure, b.must, b.aim)
			}
		}
	}
}

// The version of a Kafka is what its jar says of itself.
func TestKafkaVersion(t *testing.T) {
	jars := t.TempDir()
	if _, err := kafkaVersion(jars, "kafka39"); err == nil {
		t.Error("no jar has a version")
	}
	if err := os.Mkdir(filepath.Join(jars, "kafka39"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(jars, "kafka39", "kafka-clients-9.9.jar"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("kafka/kafka-version.properties")
	if err == nil {
		_, err = w.Write([]byte("commitId=12ab\nversion=3.9.2\n"))
	}
	if err = errors.Join(err, z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if v, err := kafkaVersion(jars, "kafka39"); v != "3.9.2" || err != nil {
		t.Errorf("it is %q: %v", v, err)
	}
}

// A bound is judged by the worse end, of numbers of ours and of parts of a limit
// line of the same run.
func TestBoundsOfARow(t *testing.T) {
	r, err := readResult(strings.NewReader(`{"seed":1,"systems":["samsa"]}
{"row":"L8","contender":"machine","figures":{"overwrite":8000}}
{"row":"L8","contender":"machine","figures":{"overwrite":8000}}
{"row":"W11","contender":"samsa","figures":{"acks":7600}}
{"row":"W11","contender":"samsa","figures":{"acks":7500}}
{"row":"W16","contender":"samsa","figures":{"KiB a connection":7}}
{"row":"W16","contender":"samsa","figures":{"KiB a connection":8.5}}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]stats.Verdict{}
	for _, h := range r.bounds() {
		got[h.row] = h.verdict
	}
	if len(got) != 2 || got["W11"] != stats.Held || got["W16"] != stats.Missed {
		t.Errorf("the bounds are %v", got)
	}
}
