// SPDX-License-Identifier: Apache-2.0

// Command wirecap stands between clients and one broker and writes down what
// they say to each other: a text file for each request with its response, under
// a folder for each API. The files in testdata/wire were taken from a real Kafka
// with it; tests decode them, encode them back and ask them again.
//
// What is recorded are the broker's own bytes. What clients get differs in one
// thing: answers that tell where brokers are name the proxy instead, so that
// clients stay behind it.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	if err := command().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "wirecap:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var listen, broker, out, software string
	var most int
	cmd := &cobra.Command{
		Use:   "wirecap --broker HOST:PORT --out DIR",
		Short: "Record what Kafka clients and one broker say to each other",
		Long: `Record what Kafka clients and one broker say to each other.

wirecap listens, passes everything on to the broker, and writes a text file for
each request and its response: DIR/<api>/v<version>_<client id>.txt, a number
behind the name where it is taken. It prints "listening ADDRESS" when it is ready
and ends with SIGINT or SIGTERM. Only plaintext listeners can be recorded.`,
		Example: `  wirecap --broker localhost:9092 --out captures --software "Apache Kafka 3.9.2"
  kcat -L -b 127.0.0.1:19092        with wirecap --listen 127.0.0.1:19092 ...`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if broker == "" || out == "" {
				return fmt.Errorf("--broker and --out are needed; see wirecap --help")
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("--listen %s: %w", listen, err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "listening", l.Addr())
			stop := make(chan os.Signal, 1)
			signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
			go func() {
				<-stop
				_ = l.Close()
			}()
			p := &proxy{broker: broker, self: l.Addr().String(), store: &store{dir: out, software: software, most: most}, log: cmd.ErrOrStderr()}
			return p.serve(l)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address to listen on; port 0 is any free one")
	cmd.Flags().StringVar(&broker, "broker", "", "address of the broker")
	cmd.Flags().StringVar(&out, "out", "", "folder for the captures; made if need be")
	cmd.Flags().StringVar(&software, "software", "an unnamed broker", "what the broker is, for the first line of each file")
	cmd.Flags().IntVar(&most, "max-bytes", 64<<10, "exchanges with more bytes than this are passed on, but not recorded")
	return cmd
}
