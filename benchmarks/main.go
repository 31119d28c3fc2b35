// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command benchmarks measures Samsa end to end beside real Kafkas and the null
// broker, under one load generator, and says how many times better or worse it
// is; absolute numbers of one machine prove nothing.
//
// Micro-benchmarks stand beside the code they measure. What is not built here
// yet is listed in NOTES.md.
package main

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/samsa-broker/samsa/benchmarks/limit"
	"github.com/samsa-broker/samsa/benchmarks/null"
)

func main() {
	root := &cobra.Command{
		Use:   "benchmarks",
		Short: "Measure Samsa beside Kafka and the null broker",
		Example: `  go run ./benchmarks run --set ci
  go run ./benchmarks run --set full --rows W1,W12
  go run ./benchmarks report benchmarks/results/2026-11-29-ci.jsonl
  go run ./benchmarks plot`,
		SilenceUsage: true,
	}
	root.AddCommand(runCommand(), reportCommand(), nullCommand(), listCommand(), plotCommand())
	ctx, stop := signal.NotifyContext(rootContext, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root.ExecuteContext(ctx); err != nil {
		os.Exit(1)
	}
}

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the rows and the systems", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			for _, r := range rows() {
				var in []string
				for _, name := range slices.Sorted(maps.Keys(sets)) {
					if sets[name].rows(&r) {
						in = append(in, name)
					}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-9s %-22s %s\n", r.id, strings.Join(in, ","), r.story)
			}
			for _, name := range slices.Sorted(maps.Keys(sets)) {
				fmt.Fprintf(cmd.OutOrStdout(), "--set %-7s %s\n", name, sets[name].story)
			}
			for _, l := range limit.Lines() {
				fmt.Fprintf(cmd.OutOrStdout(), "%-5s %s\n", l.ID, l.Story)
			}
			for _, k := range kinds {
				fmt.Fprintf(cmd.OutOrStdout(), "%-24s %s\n", k.id, k.story)
			}
		},
	}
}

func reportCommand() *cobra.Command {
	var svg string
	cmd := &cobra.Command{
		Use: "report FILE.jsonl", Short: "Print the table of a run that was written down", Args: cobra.ExactArgs(1),
		Example: "  go run ./benchmarks report benchmarks/results/2026-11-29-ci.jsonl --svg plot.svg",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := readFile(args[0])
			if err != nil {
				return err
			}
			r.print(cmd.OutOrStdout())
			if svg == "" {
				return nil
			}
			return drawPlot(r, svg)
		},
	}
	cmd.Flags().StringVar(&svg, "svg", "", "also draw the plot into this file")
	return cmd
}

func nullCommand() *cobra.Command {
	var listen, dir string
	cmd := &cobra.Command{
		Use: "null", Short: "Be the null broker, until it is killed", Args: cobra.NoArgs,
		Example: "  benchmarks null --listen 127.0.0.1:9099 --dir /var/tmp/null",
		RunE: func(*cobra.Command, []string) error {
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return err
			}
			return null.New(dir).Serve(ln)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address to listen on")
	cmd.Flags().StringVar(&dir, "dir", ".", "folder of its files")
	return cmd
}
