// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Setting is one key of a topic or broker with the value that acts.
type Setting struct {
	Name      string
	Value     *string // nil: none, or a secret
	Type      kmsg.ConfigType
	Source    kmsg.ConfigSource // of the first synonym; where there is none, the default
	ReadOnly  bool              // cannot be changed while the broker runs
	Sensitive bool
	Doc       string
	Synonyms  []SettingSynonym // all values that stand somewhere, the strongest first
}

// SettingSynonym is a value that a setting has, or would have without the ones
// before it.
type SettingSynonym struct {
	Name   string
	Value  *string
	Source kmsg.ConfigSource
}

// settings knows every key of Kafka's and what this broker's file says.
type settings interface {
	topicChecker
	keyRules
	// BrokerSettings gives every setting of this broker.
	BrokerSettings() []Setting
	// ClusterSettings gives what is set on all brokers while they run.
	ClusterSettings() []Setting
}

// adoptedKey is shown on a topic that was found on disk without its settings
// (nothing of it is deleted or compacted). It is not stored: any change of the
// topic's config, its removal above all, ends that state.
const adoptedKey = "samsa.adopted"

// DescribeConfigs tells the settings of topics and of this broker, and the levels
// of its loggers.
//
//	v1  source and synonyms of each value, instead of "is default", which Kafka never sets
//	v2  as v1      v3  types and documentation      v4  flexible
func DescribeConfigs(a Admin) Handler {
	return Handler{Key: 32, Min: 0, Max: 4, Slow: true, Serve: func(c *Call) {
		req := c.Body.(*kmsg.DescribeConfigsRequest)
		resp := c.Response().(*kmsg.DescribeConfigsResponse)
		odd := oddResource(req.Resources)
		for i := range req.Resources {
			r := &req.Resources[i]
			found, err := []Setting(nil), odd // one odd kind, and all are refused, as in Kafka
			if odd == nil {
				found, err = describe(r, a)
			}
			out := kmsg.NewDescribeConfigsResponseResource()
			out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
			if out.ErrorCode, out.ErrorMessage = verdict(err); err == nil || errors.Is(err, meta.ErrUnknownTopic) {
				out.ErrorMessage = new(string) // Kafka has nothing to say then, and says that
			}
			wanted := map[string]bool{}
			for _, name := range r.ConfigNames {
				wanted[name] = true
			}
			for _, s := range found {
				if len(wanted) == 0 || wanted[s.Name] {
					out.Configs = append(out.Configs, settingEntry(s, req.IncludeSynonyms, req.IncludeDocumentation))
				}
			}
			resp.Resources = append(resp.Resources, out)
		}
		unspeakable(resp.Resources, func(r *kmsg.DescribeConfigsResponseResource) *string { return r.ErrorMessage }, func(r *kmsg.DescribeConfigsResponseResource) {
			r.ErrorCode, r.ErrorMessage, r.Configs = int16(frame.UnknownServerError), &errUnexpected, nil
		})
		c.Reply(resp)
	}}
}

// errUnexpected is the message of UNKNOWN_SERVER_ERROR where there has to be one.
var errUnexpected = "The server experienced an unexpected error."

// oddResource is the error for a kind of resource that there is not.
func oddResource(resources []kmsg.DescribeConfigsRequestResource) error {
	for i := range resources {
		switch kind := resources[i].ResourceType; kind {
		case kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, clientMetrics:
		default:
			return Fail(frame.InvalidRequest, fmt.Sprintf("Unexpected resource type %d for resource %s", kind, resources[i].ResourceName))
		}
	}
	return nil
}

// clientMetrics is a kind of resource of newer brokers.
const clientMetrics kmsg.ConfigResourceType = 16

func describe(r *kmsg.DescribeConfigsRequestResource, a Admin) ([]Setting, error) {
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := meta.ValidateTopicName(r.ResourceName); err != nil {
			return nil, err
		}
		t := a.Image.Load().Topic(r.ResourceName)
		if t == nil {
			return nil, fmt.Errorf("%w: %s", meta.ErrUnknownTopic, r.ResourceName)
		}
		found := a.Settings.TopicSettings(t.Config)
		if t.Adopted {
			found = append(slices.Clip(found), adoptedSetting())
		}
		return found, nil
	case kmsg.ConfigResourceTypeBroker:
		whole, err := wholeCluster(r.ResourceName, a.Broker)
		if err != nil {
			return nil, err
		}
		if whole {
			return a.Settings.ClusterSettings(), nil
		}
		return a.Settings.BrokerSettings(), nil
	case kmsg.ConfigResourceTypeBrokerLogger:
		return describeLoggers(r.ResourceName, a.Broker, a.Loggers)
	}
	return nil, Fail(frame.InvalidRequest, fmt.Sprintf("Unsupported resource type: %d", r.ResourceType))
}

// wholeCluster reads the name of a broker resource: this broker's id, or ""
// for all brokers.
func wholeCluster(name string, broker meta.BrokerID) (bool, error) {
	if name == "" {
		return true, nil
	}
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return false, Fail(frame.InvalidRequest, fmt.Sprintf("Broker id must be an integer, but it is: %s", name))
	}
	if meta.BrokerID(id) != broker {
		return false, Fail(frame.InvalidRequest, fmt.Sprintf("Unexpected broker id, expected %d or empty string, but received %s", broker, name))
	}
	return false, nil
}

func adoptedSetting() Setting {
	yes := "true"
	return Setting{Name: adoptedKey, Value: &yes, Type: kmsg.ConfigTypeBoolean, Source: kmsg.ConfigSourceDynamicTopicConfig,
		Doc:      "The topic was found on disk without its settings: nothing of it is deleted or compacted until its config is set or this key removed.",
		Synonyms: []SettingSynonym{{adoptedKey, &yes, kmsg.ConfigSourceDynamicTopicConfig}}}
}

func settingEntry(s Setting, synonyms, doc bool) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.ReadOnly, out.IsSensitive = s.Name, s.Value, s.ReadOnly, s.Sensitive
	out.Source, out.ConfigType = s.Source, s.Type                                     // v0's "is default" is never set, as in Kafka
	if doc && s.Doc != "" || s.Source == kmsg.ConfigSourceDynamicBrokerLoggerConfig { // of loggers it is empty, asked for or not
		out.Documentation = &s.Doc
	}
	for i := 0; synonyms && i < len(s.Synonyms); i++ {
		y := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		y.Name, y.Value, y.Source = s.Synonyms[i].Name, s.Synonyms[i].Value, s.Synonyms[i].Source
		out.ConfigSynonyms = append(out.ConfigSynonyms, y)
	}
	return out
}
