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

type configAlterer interface {
	// AlterTopicConfig changes what is set on a topic: edit gets a copy and
	// gives what shall be set.
	AlterTopicConfig(topic string, edit func(set map[string]string) (map[string]string, error), validateOnly bool) error
	// AlterBrokerConfig changes what is set on this broker, or on all, while
	// they run, in the same way.
	AlterBrokerConfig(all bool, edit func(set map[string]string) (map[string]string, error), validateOnly bool) error
}

// keyRules tells what kinds of keys there are.
type keyRules interface {
	// TopicList gives the default of a topic's key that is a list.
	TopicList(key string) (value string, isList, known bool)
	// BrokerList is TopicList of a broker's key.
	BrokerList(key string) (value string, isList, known bool)
	// CheckBrokerConfig judges what shall be set on this broker, or on all.
	CheckBrokerConfig(own bool, set map[string]string) error
	// UsableBrokerConfig drops from what is stored what could not be set now.
	UsableBrokerConfig(own bool, set map[string]string) map[string]string
	// StorableBrokerConfig refuses what cannot be stored, valid or not.
	StorableBrokerConfig(own bool, set map[string]string) error
}

// AlterConfigs replaces all that is set on a topic, on this broker or on all
// brokers: what a request does not name gets its default again.
//
//	v1  as v0      v2  flexible
func AlterConfigs(broker meta.BrokerID, topics configAlterer, settings settings) Handler {
	return Handler{Key: 33, Min: 0, Max: 2, Slow: true, Serve: func(c *Call) {
		req := c.Body.(*kmsg.AlterConfigsRequest)
		resp := c.Response().(*kmsg.AlterConfigsResponse)
		times := map[resource]int{}
		for _, r := range req.Resources {
			times[resource{r.ResourceType, r.ResourceName}]++
		}
		for i := range req.Resources {
			r := &req.Resources[i]
			err := errResourceTwice
			if times[resource{r.ResourceType, r.ResourceName}] == 1 {
				err = replaceConfig(r, req.ValidateOnly, broker, topics, settings)
			}
			out := kmsg.NewAlterConfigsResponseResource()
			out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
			out.ErrorCode, out.ErrorMessage = verdict(err)
			resp.Resources = append(resp.Resources, out)
		}
		unspeakable(resp.Resources, func(r *kmsg.AlterConfigsResponseResource) *string { return r.ErrorMessage }, func(r *kmsg.AlterConfigsResponseResource) {
			r.ErrorCode, r.ErrorMessage = int16(frame.UnknownServerError), nil
		})
		c.Reply(resp)
	}}
}

// resource names what a config belongs to.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

// What is wrong with a request for a resource, whatever it is.
var (
	errResourceTwice = Fail(frame.InvalidRequest, "Each resource must appear at most once.")
	errKeysTwice     = Fail(frame.InvalidRequest, "Error due to duplicate config keys")
	errAllTopics     = Fail(frame.InvalidRequest, "Default topic resources are not allowed.")
)

func replaceConfig(r *kmsg.AlterConfigsRequestResource, validateOnly bool, broker meta.BrokerID, topics configAlterer, settings settings) error {
	set := make(map[string]string, len(r.Configs))
	var null, twice, keys []string
	for _, c := range r.Configs {
		if slices.Contains(keys, c.Name) {
			twice = append(twice, c.Name)
		}
		keys = append(keys, c.Name)
		if c.Value == nil {
			null = append(null, c.Name)
			continue
		}
		set[c.Name] = *c.Value
	}
	if twice != nil {
		return errKeysTwice
	}
	if null != nil {
		return Fail(frame.InvalidRequest, "Null value not supported for : "+strings.Join(null, ", "))
	}
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if r.ResourceName == "" {
			return errAllTopics
		}
		if err := checkAdopted(set); err != nil {
			return err
		}
		return topics.AlterTopicConfig(r.ResourceName, func(map[string]string) (map[string]string, error) {
			return set, settings.CheckTopicConfig(set)
		}, validateOnly)
	case kmsg.ConfigResourceTypeBroker:
		return alterBroker(r.ResourceName, broker, topics, settings, func(map[string]string) (map[string]string, error) { return set, nil }, validateOnly)
	}
	return unalterable(r.ResourceType)
}

// checkAdopted takes the mark of an adopted topic out of what shall be set: any
// change removes it, and nobody can put it there.
func checkAdopted(set map[string]string) error {
	switch v := set[adoptedKey]; v {
	case "", "false", "true":
		delete(set, adoptedKey)
		return nil
	default:
		return fmt.Errorf("%w: %s=%s; it can only be removed", meta.ErrInvalidConfig, adoptedKey, v)
	}
}

// alterBroker changes what is set on this broker, or on all where name is empty,
// while they run. The values outlive a restart and win over server.properties.
func alterBroker(name string, broker meta.BrokerID, brokers configAlterer, rules keyRules, edit func(map[string]string) (map[string]string, error), validateOnly bool) error {
	all, err := wholeCluster(name, broker)
	if err != nil {
		return err
	}
	return brokers.AlterBrokerConfig(all, func(set map[string]string) (map[string]string, error) {
		set, err := edit(rules.UsableBrokerConfig(!all, set))
		if err == nil {
			err = rules.CheckBrokerConfig(!all, set)
		}
		if err == nil && !validateOnly {
			err = rules.StorableBrokerConfig(!all, set)
		}
		return set, err
	}, validateOnly)
}

// unalterable refuses the kinds that have no config to alter: loggers, too, as
// the request that replaces everything makes no sense for them.
func unalterable(kind kmsg.ConfigResourceType) error {
	if kind != clientMetrics {
		return Fail(frame.InvalidRequest, fmt.Sprintf("Unknown resource type %d", kind))
	}
	return Fail(frame.InvalidRequest, fmt.Sprintf("AlterConfigs is only supported for topics and brokers, but resource type is %s", kind))
}
