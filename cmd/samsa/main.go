// SPDX-License-Identifier: Apache-2.0

// Command samsa is the broker and its tools in one binary.
//
// This folder is wiring and flags: start.go builds the broker from its rooms,
// the other files are one command each. Run `samsa --help`.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := root().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "samsa:", err)
		os.Exit(1)
	}
}

// root is the command line: one subcommand per file of this folder.
func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "samsa",
		Short:         "A Kafka-compatible broker: one binary, durable by default, no JVM",
		SilenceUsage:  true,
		SilenceErrors: true,
		Example: `  samsa start                                  a broker on :9092 with Kafka's defaults
  samsa start config/server.properties         the same, from a file
  samsa topics create --topic t --partitions 3
  samsa log dump --files data/t-0/00000000000000000000.log --print-data-log`,
	}
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(startCommand(), topicsCommand(), logCommand(), versionCommand())
	return cmd
}
