// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// describedTopic is what `samsa topics describe` shows of a topic.
type describedTopic struct {
	Topic       string               `json:"topic"`
	ID          string               `json:"topicId"`
	Internal    bool                 `json:"internal"`
	Replication int                  `json:"replicationFactor"`
	Configs     map[string]string    `json:"configs"`
	Partitions  []describedPartition `json:"partitions"`
}

// topicName is what is left to say of a topic that was created or deleted.
type topicName struct {
	Topic string `json:"topic"`
	ID    string `json:"topicId"`
}

type describedPartition struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Error     string  `json:"error,omitempty"`
}

// describe adds the configured values to what metadata said.
func describe(ctx context.Context, adm *kadm.Client, topics []kadm.TopicDetail) ([]describedTopic, error) {
	described := make([]describedTopic, 0, len(topics))
	if len(topics) == 0 {
		return described, nil
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Topic
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		d := describedTopic{Topic: t.Topic, ID: idText(t.ID), Internal: t.IsInternal, Configs: map[string]string{}}
		for _, p := range t.Partitions.Sorted() {
			dp := describedPartition{Partition: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR}
			if p.Err != nil {
				dp.Error = p.Err.Error()
			}
			d.Partitions = append(d.Partitions, dp)
			d.Replication = len(p.Replicas)
		}
		if resource, err := configs.On(t.Topic, nil); err == nil {
			for _, c := range resource.Configs {
				if c.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
					d.Configs[c.Key] = c.MaybeValue()
				}
			}
		}
		described = append(described, d)
	}
	return described, nil
}

// describedText prints topics in the shape that kafka-topics --describe has.
func describedText(topics []describedTopic) string {
	var b strings.Builder
	for _, t := range topics {
		fmt.Fprintf(&b, "Topic: %s\tTopicId: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n",
			t.Topic, t.ID, len(t.Partitions), t.Replication, configText(t.Configs))
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s\n",
				t.Topic, p.Partition, leaderText(p.Leader), joinIDs(p.Replicas), joinIDs(p.ISR))
		}
	}
	return b.String()
}

// idText is a topic id as Kafka's tools print it.
func idText(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func leaderText(id int32) string {
	if id < 0 {
		return "none"
	}
	return fmt.Sprint(id)
}

func configText(configs map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(configs)) {
		pairs = append(pairs, key+"="+configs[key])
	}
	return strings.Join(pairs, ",")
}

func joinIDs(ids []int32) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}

// print writes v as JSON with --json, otherwise the text.
func (f *topicsFlags) print(out io.Writer, v any, text string) error {
	if !f.json {
		_, err := io.WriteString(out, text)
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func lines(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return strings.Join(names, "\n") + "\n"
}

// isCode reports whether err is the Kafka error of that name.
func isCode(err error, code string) bool {
	var k *kerr.Error
	return errors.As(err, &k) && k.Message == code
}

// withMessage adds the operand and what the broker said to an error.
func withMessage(what string, err error, message string) error {
	if message == "" {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %s", what, err, message)
}
