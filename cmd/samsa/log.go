// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/samsa-broker/samsa/engine/dir"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// logCommand looks into log directories that no broker serves now.
func logCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Look into log files, and recover a directory"}
	cmd.AddCommand(dumpCommand(), recoverCommand())
	return cmd
}

// dumpCommand prints what Kafka's DumpLogSegments prints, flag for flag.
func dumpCommand() *cobra.Command {
	var files string
	d := &dumper{}
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Print segments, indexes and producer snapshots as Kafka's DumpLogSegments does",
		Example: `  samsa log dump --files data/t-0/00000000000000000000.log
  samsa log dump --deep-iteration --print-data-log --files a.log,b.log
  samsa log dump --files data/t-0/00000000000000000000.timeindex`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			d.out = out
			for name := range strings.SplitSeq(files, ",") {
				if err := d.file(name); err != nil {
					_ = out.Flush()
					return err
				}
			}
			return out.Flush()
		},
	}
	cmd.Flags().StringVar(&files, "files", "", "comma-separated .log, .index, .timeindex, .txnindex and .snapshot files")
	cmd.Flags().BoolVar(&d.deep, "deep-iteration", false, "print every record, not only batches")
	cmd.Flags().BoolVar(&d.payload, "print-data-log", false, "print keys and values too; implies --deep-iteration")
	_ = cmd.MarkFlagRequired("files")
	return cmd
}

// recoverCommand brings a directory to the state in which any broker may take
// it: after a power cut, before a Kafka opens it, or after damage.
func recoverCommand() *cobra.Command {
	var acceptLoss bool
	cmd := &cobra.Command{
		Use:   "recover DIR",
		Short: "Recover a log directory and replay its journal, so that any broker may open it",
		Long: `Recover a log directory and replay its journal, so that any broker may open it.

A broker does this by itself when it starts. Run it by hand before a Kafka takes
a directory whose machine lost power under Samsa, or, with --accept-loss, when
the broker refused to start because the journal is damaged: the logs and offsets
that are lost are printed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if err := dir.Recover(dir.Options{FS: vfs.OS(), Path: path, BrokerID: -1}, acceptLoss, cmd.OutOrStdout()); err != nil {
				return fmt.Errorf("recover %s: %w", path, err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "go on without acknowledged records that cannot be brought back")
	return cmd
}
