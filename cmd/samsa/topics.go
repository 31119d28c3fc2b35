// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// adoptedKey is what Samsa shows on a topic that was found on disk without its
// settings; deleting the key accepts what acts on the topic now.
const adoptedKey = "samsa.adopted"

// topicsFlags are kafka-topics' flags by their names.
type topicsFlags struct {
	bootstrap   string
	topic       string
	partitions  int32
	replication int16
	configs     []string
	deletes     []string
	ifExists    bool
	ifMissing   bool
	internal    bool
	adopted     bool
	json        bool
	timeout     time.Duration
}

// topicsCommand works against any broker that speaks Kafka's protocol.
func topicsCommand() *cobra.Command {
	f := &topicsFlags{}
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Create, list, describe, alter and delete topics of any Kafka-compatible cluster",
		Example: `  samsa topics create --topic orders --partitions 6 --config retention.ms=86400000
  samsa topics list --bootstrap-server broker:9092 --json
  samsa topics describe --topic 'orders.*'
  samsa topics alter --topic orders --partitions 12 --config cleanup.policy=compact
  samsa topics alter --adopted                     end the care for topics found in a Kafka's directory
  samsa topics delete --topic orders --if-exists`,
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.bootstrap, "bootstrap-server", "localhost:9092", "host:port[,host:port] of the cluster")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "give up after this time")
	cmd.AddCommand(f.create(), f.list(), f.describe(), f.alter(), f.delete())
	return cmd
}

// run connects, runs fn within the timeout and closes.
func (f *topicsFlags) run(fn func(ctx context.Context, adm *kadm.Client, out io.Writer) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
		defer cancel()
		client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(f.bootstrap, ",")...))
		if err != nil {
			return fmt.Errorf("--bootstrap-server %s: %w", f.bootstrap, err)
		}
		defer client.Close()
		err = fn(ctx, kadm.NewClient(client), cmd.OutOrStdout())
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no answer from %s within %v: is a broker listening there?", f.bootstrap, f.timeout)
		}
		return err
	}
}

func (f *topicsFlags) create() *cobra.Command {
	cmd := &cobra.Command{Use: "create", Short: "Create a topic", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&f.topic, "topic", "", "name of the topic")
	partitions := cmd.Flags().Int32("partitions", -1, "number of partitions; -1: the broker's num.partitions")
	cmd.Flags().Int16Var(&f.replication, "replication-factor", -1, "replicas of each partition; -1: the broker's default")
	cmd.Flags().StringArrayVar(&f.configs, "config", nil, "key=value, may be repeated")
	cmd.Flags().BoolVar(&f.ifMissing, "if-not-exists", false, "succeed when the topic exists")
	_ = cmd.MarkFlagRequired("topic")
	cmd.RunE = f.run(func(ctx context.Context, adm *kadm.Client, out io.Writer) error {
		configs, err := f.settings()
		if err != nil {
			return err
		}
		resp, err := adm.CreateTopic(ctx, *partitions, f.replication, configs, f.topic)
		if err != nil && f.ifMissing && isCode(err, "TOPIC_ALREADY_EXISTS") {
			return nil
		}
		if err != nil {
			return withMessage(fmt.Sprintf("create topic %s", f.topic), err, resp.ErrMessage)
		}
		return f.print(out, topicName{resp.Topic, idText(resp.ID)}, fmt.Sprintf("Created topic %s.\n", f.topic))
	})
	return cmd
}

func (f *topicsFlags) list() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List topic names", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&f.topic, "topic", "", "only names that match this regular expression")
	cmd.Flags().BoolVar(&f.internal, "exclude-internal", false, "leave out the broker's own topics")
	cmd.RunE = f.run(func(ctx context.Context, adm *kadm.Client, out io.Writer) error {
		topics, err := f.matching(ctx, adm)
		if err != nil {
			return err
		}
		names := make([]string, 0, len(topics))
		for _, t := range topics {
			names = append(names, t.Topic)
		}
		return f.print(out, names, lines(names))
	})
	return cmd
}

func (f *topicsFlags) describe() *cobra.Command {
	cmd := &cobra.Command{Use: "describe", Short: "Show partitions, leaders, replicas and configured values", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&f.topic, "topic", "", "only names that match this regular expression")
	cmd.Flags().BoolVar(&f.internal, "exclude-internal", false, "leave out the broker's own topics")
	cmd.RunE = f.run(func(ctx context.Context, adm *kadm.Client, out io.Writer) error {
		topics, err := f.matching(ctx, adm)
		if err != nil {
			return err
		}
		if len(topics) == 0 && f.topic != "" {
			return fmt.Errorf("no topic matches %q", f.topic)
		}
		described, err := describe(ctx, adm, topics)
		if err != nil {
			return err
		}
		return f.print(out, described, describedText(described))
	})
	return cmd
}

func (f *topicsFlags) alter() *cobra.Command {
	cmd := &cobra.Command{Use: "alter", Short: "Add partitions, set and delete configured values", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&f.topic, "topic", "", "name of the topic")
	cmd.Flags().Int32Var(&f.partitions, "partitions", 0, "the new number of partitions; it can only grow")
	cmd.Flags().StringArrayVar(&f.configs, "config", nil, "key=value to set, may be repeated")
	cmd.Flags().StringArrayVar(&f.deletes, "delete-config", nil, "key to set back to its default, may be repeated")
	cmd.Flags().BoolVar(&f.adopted, "adopted", false, "accept the configuration of every topic that was adopted from a Kafka directory")
	cmd.RunE = f.run(func(ctx context.Context, adm *kadm.Client, out io.Writer) error {
		if f.adopted {
			return f.acceptAdopted(ctx, adm, out)
		}
		if f.topic == "" {
			return errors.New("--topic says which topic to alter (or --adopted for all that were adopted)")
		}
		if f.partitions == 0 && len(f.configs)+len(f.deletes) == 0 {
			return errors.New("nothing to alter: give --partitions, --config or --delete-config")
		}
		return f.alterTopics(ctx, adm, out, f.topic)
	})
	return cmd
}

// alterTopics carries out the flags on the topics named.
func (f *topicsFlags) alterTopics(ctx context.Context, adm *kadm.Client, out io.Writer, names ...string) error {
	var changes []kadm.AlterConfig
	settings, err := f.settings()
	if err != nil {
		return err
	}
	for key, value := range settings {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: value})
	}
	for _, key := range f.deletes {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
	}
	slices.SortFunc(changes, func(a, b kadm.AlterConfig) int { return strings.Compare(a.Name, b.Name) })
	if len(changes) > 0 {
		resps, err := adm.AlterTopicConfigs(ctx, changes, names...)
		if err != nil {
			return err
		}
		for _, r := range resps {
			if r.Err != nil {
				return withMessage("alter topic "+r.Name, r.Err, r.ErrMessage)
			}
		}
	}
	if f.partitions != 0 {
		resps, err := adm.UpdatePartitions(ctx, int(f.partitions), names...)
		if err != nil {
			return err
		}
		for _, r := range resps.Sorted() {
			if r.Err != nil {
				return withMessage("alter topic "+r.Topic, r.Err, r.ErrMessage)
			}
		}
	}
	return f.print(out, names, "Altered topic "+strings.Join(names, ", ")+".\n")
}

// acceptAdopted ends the care that is taken of topics that were found on disk
// without their settings: an operator has then spoken, and deletion may begin.
// They are those that show samsa.adopted; --config and --delete-config are
// applied to them on the way.
func (f *topicsFlags) acceptAdopted(ctx context.Context, adm *kadm.Client, out io.Writer) error {
	topics, err := f.matching(ctx, adm)
	if err != nil {
		return err
	}
	described, err := describe(ctx, adm, topics)
	if err != nil {
		return err
	}
	names := []string{}
	for _, t := range described {
		if t.Configs[adoptedKey] == "true" {
			names = append(names, t.Topic)
		}
	}
	if len(names) == 0 {
		return f.print(out, names, "No topic is waiting to be accepted.\n")
	}
	f.deletes = append(f.deletes, adoptedKey)
	return f.alterTopics(ctx, adm, out, names...)
}

func (f *topicsFlags) delete() *cobra.Command {
	cmd := &cobra.Command{Use: "delete", Short: "Delete a topic and its records", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&f.topic, "topic", "", "name of the topic")
	cmd.Flags().BoolVar(&f.ifExists, "if-exists", false, "succeed when there is no such topic")
	_ = cmd.MarkFlagRequired("topic")
	cmd.RunE = f.run(func(ctx context.Context, adm *kadm.Client, out io.Writer) error {
		resp, err := adm.DeleteTopic(ctx, f.topic)
		if err != nil && f.ifExists && isCode(err, "UNKNOWN_TOPIC_OR_PARTITION") {
			return nil
		}
		if err != nil {
			return withMessage("delete topic "+f.topic, err, resp.ErrMessage)
		}
		return f.print(out, topicName{resp.Topic, idText(resp.ID)}, fmt.Sprintf("Deleted topic %s.\n", f.topic))
	})
	return cmd
}

// matching lists the topics whose whole name matches --topic, by name.
func (f *topicsFlags) matching(ctx context.Context, adm *kadm.Client) ([]kadm.TopicDetail, error) {
	pattern, err := regexp.Compile("^(?:" + f.topic + ")$")
	if err != nil {
		return nil, fmt.Errorf("--topic %q: %w", f.topic, err)
	}
	topics, err := adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	var matched []kadm.TopicDetail
	for _, t := range topics.Sorted() {
		if (f.topic == "" || pattern.MatchString(t.Topic)) && !(f.internal && t.IsInternal) {
			matched = append(matched, t)
		}
	}
	return matched, nil
}

// settings parses --config.
func (f *topicsFlags) settings() (map[string]*string, error) {
	m := map[string]*string{}
	for _, setting := range f.configs {
		key, value, ok := strings.Cut(setting, "=")
		if !ok {
			return nil, fmt.Errorf("--config %q: want key=value", setting)
		}
		m[key] = kadm.StringPtr(value)
	}
	return m, nil
}
