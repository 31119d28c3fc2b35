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
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:   "benchmarks",
		Short: "Measure Samsa beside Kafka and the null broker",
		Example: `  go run ./benchmarks run --set ci --systems samsa,samsa-kafka,null
  go run ./benchmarks run --set full --systems samsa,samsa-kafka,k39,k4,null --rows W1,W12
  go run ./benchmarks report benchmarks/results/2026-11-29-ci.jsonl`,
		SilenceUsage: true,
	}
	root.AddCommand(runCommand(), reportCommand(), nullCommand(), listCommand())
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
				set := "full"
				if r.ci {
					set = "ci, full"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-5s %-9s %s\n", r.id, set, r.story)
			}
			for _, k := range kinds {
				fmt.Fprintf(cmd.OutOrStdout(), "%-15s %s\n", k.id, k.story)
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
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			r, err := readResult(f)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			r.print(cmd.OutOrStdout())
			if svg == "" {
				return nil
			}
			out, err := os.Create(svg)
			if err != nil {
				return err
			}
			r.plot(out)
			return out.Close()
		},
	}
	cmd.Flags().StringVar(&svg, "svg", "", "also draw the plot into this file")
	return cmd
}
