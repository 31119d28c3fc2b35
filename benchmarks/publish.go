// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// What stands between these lines of the README is made by `benchmarks plot`.
const (
	openMark  = "<!-- benchmarks: made by `go run ./benchmarks plot` -->"
	closeMark = "<!-- benchmarks: end -->"
)

// plotCommand makes the plot and the table of the README from the newest result.
func plotCommand() *cobra.Command {
	var results, readme, svg string
	cmd := &cobra.Command{
		Use: "plot", Short: "Make the README's plot and table from the newest result", Args: cobra.NoArgs,
		Long: `Make the README's plot and table from the newest result that was compared with
Kafka: the set full before ci when both are of one day. What stood between the
two marks in the README is replaced; without marks they go to its end.`,
		Example: "  go run ./benchmarks plot",
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, r, err := newest(results)
			if err != nil {
				return err
			}
			if err := drawPlot(r, svg); err != nil {
				return err
			}
			if err := intoReadme(r, name, readme, svg); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s and %s are of %s\n", svg, readme, name)
			return nil
		},
	}
	cmd.Flags().StringVar(&results, "results", filepath.Join("benchmarks", "results"), "folder of the results")
	cmd.Flags().StringVar(&readme, "readme", "README.md", "file that gets the table")
	cmd.Flags().StringVar(&svg, "svg", filepath.Join("docs", "benchmarks.svg"), "file of the plot")
	return cmd
}

// newest finds the newest result in which a Kafka took part.
func newest(dir string) (name string, best result, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return "", best, err
	}
	rank := func(r *result) string { return r.header.Date + map[string]string{"full": "2", "ci": "1"}[r.header.Set] }
	for _, file := range files {
		r, err := readFile(file)
		if err != nil {
			return "", best, err
		}
		kafka := slices.ContainsFunc(r.header.Systems, func(id string) bool { return strings.HasPrefix(id, "k") })
		if kafka && !r.header.Rehearsal && r.header.On == "" && (name == "" || rank(&r) > rank(&best)) {
			name, best = file, r
		}
	}
	if name == "" {
		return "", best, errors.New("no result with a Kafka in " + dir + ": run make bench on a quiet machine")
	}
	return name, best, nil
}

func readFile(name string) (result, error) {
	f, err := os.Open(name)
	if err != nil {
		return result{}, err
	}
	defer f.Close()
	r, err := readResult(f)
	if err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func drawPlot(r result, name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	r.plot(f)
	return f.Close()
}

// intoReadme writes the plot and the short table between the marks.
func intoReadme(r result, from, readme, svg string) error {
	b, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	where, err := filepath.Rel(filepath.Dir(readme), svg)
	if err != nil {
		return err
	}
	var block strings.Builder
	fmt.Fprintf(&block, "%s\n![How many times better than the better Kafka](%s)\n\n", openMark, filepath.ToSlash(where))
	fmt.Fprintln(&block, "| row | figure | ours | better Kafka | times better (95 %) | verdict |\n|---|---|---|---|---|---|")
	for _, l := range r.lines() {
		if l.rival != "" {
			fmt.Fprintf(&block, "| %s | %s, %s | %.4g (%s) | %.4g (%s) | %.2f (%.2f–%.2f) | %s |\n",
				l.row, l.figure, l.unit, l.mine, l.ours, l.theirs, l.rival, l.better.Ratio, l.better.Low, l.better.High, l.verdict)
		}
	}
	fmt.Fprintf(&block, "\nCommit %s, %s; all of it in `%s`.\n%s", r.header.Commit, r.header.Date, strings.TrimSuffix(filepath.Base(from), ".jsonl")+".md", closeMark)
	text := string(b)
	before, rest, ok := strings.Cut(text, openMark)
	if !ok {
		return os.WriteFile(readme, []byte(strings.TrimRight(text, "\n")+"\n\n"+block.String()+"\n"), 0o644)
	}
	_, after, ok := strings.Cut(rest, closeMark)
	if !ok {
		return fmt.Errorf("%s: %q is not closed by %q", readme, openMark, closeMark)
	}
	return os.WriteFile(readme, []byte(before+block.String()+after), 0o644)
}
