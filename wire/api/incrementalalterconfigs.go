// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

// IncrementalAlterConfigs changes single settings of topics, of this broker and
// of all brokers (KIP-339): set and delete for all keys, append and subtract for
// lists. It also changes the levels of this broker's loggers.
//
//	v1  flexible
func IncrementalAlterConfigs(a Admin) Handler {
	return Handler{Key: 44, Min: 0, Max: 1, Slow: true, Serve: func(c *Call) {
		req := c.Body.(*kmsg.IncrementalAlterConfigsRequest)
		resp := c.Response().(*kmsg.IncrementalAlterConfigsResponse)
		times := map[resource]int{}
		for _, r := range req.Resources {
			times[resource{r.ResourceType, r.ResourceName}]++
		}
		for i := range req.Resources {
			r := &req.Resources[i]
			err := errResourceTwice
			if times[resource{r.ResourceType, r.ResourceName}] == 1 {
				err = changeConfig(r, req.ValidateOnly, a)
			}
			out := kmsg.NewIncrementalAlterConfigsResponseResource()
			out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
			out.ErrorCode, out.ErrorMessage = verdict(err)
			resp.Resources = append(resp.Resources, out)
		}
		unspeakable(resp.Resources, func(r *kmsg.IncrementalAlterConfigsResponseResource) *string { return r.ErrorMessage }, func(r *kmsg.IncrementalAlterConfigsResponseResource) {
			r.ErrorCode, r.ErrorMessage = int16(frame.UnknownServerError), nil
		})
		c.Reply(resp)
	}}
}

func changeConfig(r *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool, a Admin) error {
	settings := a.Settings
	if err := checkOps(r.Configs); err != nil {
		return err
	}
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if r.ResourceName == "" {
			return errAllTopics
		}
		for _, op := range r.Configs { // what no topic would take comes before whether there is one
			if err := applyOp(map[string]string{}, op, settings.TopicList); err != nil {
				return err
			}
		}
		return a.Topics.AlterTopicConfig(r.ResourceName, func(set map[string]string) (map[string]string, error) {
			if err := applyOps(set, r.Configs, settings.TopicList); err != nil {
				return nil, err
			}
			if err := checkAdopted(set); err != nil {
				return nil, err
			}
			return set, settings.CheckTopicConfig(set)
		}, validateOnly)
	case kmsg.ConfigResourceTypeBroker:
		return alterBroker(r.ResourceName, a.Broker, a.Topics, settings, func(set map[string]string) (map[string]string, error) {
			return set, applyOps(set, r.Configs, settings.BrokerList)
		}, validateOnly)
	case kmsg.ConfigResourceTypeBrokerLogger:
		return alterLoggers(r, validateOnly, a.Broker, a.Loggers)
	}
	return unalterable(r.ResourceType)
}

// checkOps refuses what Kafka refuses before it looks at the keys.
func checkOps(ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	var twice, null []string
	seen := map[string]bool{}
	for _, op := range ops {
		if seen[op.Name] && !slices.Contains(twice, op.Name) {
			twice = append(twice, op.Name)
		}
		seen[op.Name] = true
		if op.Value == nil && op.Op != kmsg.IncrementalAlterConfigOpDelete {
			null = append(null, op.Name)
		}
	}
	if twice != nil {
		return errKeysTwice
	}
	if null != nil {
		return Fail(frame.InvalidRequest, "Null value not supported for : "+strings.Join(null, ", "))
	}
	return nil
}

// listRule tells what append and subtract may do with a key.
type listRule = func(key string) (value string, isList, known bool)

func applyOps(set map[string]string, ops []kmsg.IncrementalAlterConfigsRequestResourceConfig, list listRule) error {
	for _, op := range ops {
		if err := applyOp(set, op, list); err != nil {
			return err
		}
	}
	return nil
}

// applyOp changes one key. A list that is not set begins with its default, and
// a value that is in it is not appended a second time.
func applyOp(set map[string]string, op kmsg.IncrementalAlterConfigsRequestResourceConfig, rule listRule) error {
	switch op.Op {
	case kmsg.IncrementalAlterConfigOpSet:
		set[op.Name] = *op.Value
		return nil
	case kmsg.IncrementalAlterConfigOpDelete:
		delete(set, op.Name)
		return nil
	case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
	default:
		return Fail(frame.UnknownServerError, fmt.Sprintf("Unknown operation %d on config key: %s", op.Op, op.Name)) // Kafka fails on it
	}
	value, isList, known := rule(op.Name)
	if !known {
		return Fail(frame.UnknownServerError, "Unknown config name: "+op.Name) // Kafka fails on it
	}
	if !isList {
		return fmt.Errorf("%w: config value append and subtract are only allowed for lists, not for config key: %s", meta.ErrInvalidConfig, op.Name)
	}
	if v, ok := set[op.Name]; ok {
		value = v
	}
	list := splitList(value)
	for _, v := range splitList(*op.Value) {
		list = slices.DeleteFunc(list, func(old string) bool {
			return old == v && op.Op == kmsg.IncrementalAlterConfigOpSubtract
		})
		if op.Op == kmsg.IncrementalAlterConfigOpAppend && !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	set[op.Name] = strings.Join(list, ",")
	return nil
}

func splitList(text string) []string {
	var out []string
	for _, v := range strings.Split(text, ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}
