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
}

// keyRules tells what kinds of keys there are.
type keyRules interface {
	// TopicList gives the default of a topic's key that is a list.
	TopicList(key string) (value string, isList, known bool)
	// BrokerKey tells whether a key is the broker's, and whether Kafka can
	// change it while a broker runs.
	BrokerKey(key string) (known, dynamic bool)
}

// AlterConfigs replaces all that is set on topics: what a request does not name
// gets its default again.
//
//	v1  as v0      v2  flexible
//
// A broker's own settings stand in server.properties: see alterBroker.
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
		return Fail(frame.InvalidRequest, "Null value not supported for: "+strings.Join(null, ","))
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
		return alterBroker(r.ResourceName, keys, broker, settings)
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

// alterBroker answers for a broker's own settings. Keys that Kafka cannot
// change while it runs are refused as Kafka does; the others are, for now, read
// from server.properties at the start only, and the answer says so.
func alterBroker(name string, keys []string, broker meta.BrokerID, rules keyRules) error {
	if _, err := wholeCluster(name, broker); err != nil {
		return err
	}
	var fixed, unknown []string
	for _, k := range keys {
		switch known, dynamic := rules.BrokerKey(k); {
		case !known:
			unknown = append(unknown, k)
		case !dynamic:
			fixed = append(fixed, k)
		}
	}
	switch {
	case unknown != nil:
		return Fail(frame.InvalidRequest, "Unknown broker configs: "+strings.Join(unknown, ","))
	case fixed != nil:
		return Fail(frame.InvalidRequest, "Cannot update these configs dynamically: "+strings.Join(fixed, ",")+"; set them in server.properties and restart the broker")
	case len(keys) > 0:
		return Fail(frame.InvalidRequest, "This broker does not change its configs while it runs: set "+strings.Join(keys, ",")+" in server.properties and restart it")
	}
	return nil
}

func unalterable(kind kmsg.ConfigResourceType) error {
	return Fail(frame.InvalidRequest, fmt.Sprintf("AlterConfigs is only supported for topics and brokers, but resource type is %s", kind))
}
