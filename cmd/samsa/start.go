// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/samsa-broker/samsa/benchmarks/garbage"
	"github.com/samsa-broker/samsa/cmd/samsa/loggers"
	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// stopWithin bounds a clean stop: requests in flight, then the disks.
const stopWithin = 30 * time.Second

// startCommand runs the broker until a signal ends it.
func startCommand() *cobra.Command {
	var overrides []string
	cmd := &cobra.Command{
		Use:   "start [server.properties]",
		Short: "Start a broker",
		Long: `Start a broker with Kafka's server.properties, or with Kafka's defaults without one.

It prints one line that begins with "ready" when it serves. SIGTERM or SIGINT
stops it cleanly within 30 s, a second one at once.`,
		Example: `  samsa start
  samsa start config/server.properties
  samsa start --override log.dirs=/data/a,/data/b --override listeners=PLAINTEXT://:9092
  samsa start server.properties --override samsa.durability=kafka`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := ""
			if len(args) == 1 {
				path = args[0]
			}
			return start(cmd, path, overrides)
		},
	}
	cmd.Flags().StringArrayVar(&overrides, "override", nil, "key=value laid over the file, may be repeated")
	return cmd
}

// start loads the configuration, opens the broker and waits for a signal.
func start(cmd *cobra.Command, path string, overrides []string) error {
	all := loggers.New(os.Stderr)
	log := all.Logger(loggers.Broker)
	conf, err := loadConfig(path, overrides, all.Logger(loggers.Config))
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	b, err := openBroker(conf, all, vfs.OS())
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), b.readyLine())
	b.admin.ready.Store(true)
	garbage.Start()
	sig := <-signals
	log.Info("stopping: a second signal stops at once", "signal", sig.String(), "within", stopWithin)
	go func() {
		<-signals
		log.Warn("stopped at once: the next start will recover")
		os.Exit(1)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := b.close(ctx); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// loadConfig reads the configuration and logs what a person should know of it.
func loadConfig(path string, overrides []string, log *slog.Logger) (*config.Broker, error) {
	conf, notices, err := config.LoadFile(path, overrides)
	for _, n := range notices {
		log.Info("config: " + n.String())
	}
	if err != nil {
		return nil, err
	}
	if conf.ZooKeeperConnect != "" {
		return nil, errors.New("zookeeper.connect=" + conf.ZooKeeperConnect + ": this build has no ZooKeeper support; " +
			"remove the key to run one broker that stands alone")
	}
	return conf, nil
}
