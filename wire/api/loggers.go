// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

// brokerLoggers are this broker's, whose levels change while it runs and are
// forgotten when it ends (KIP-412). Only DescribeConfigs and
// IncrementalAlterConfigs know them as a resource.
type brokerLoggers interface {
	// Levels gives the level in force of each logger.
	Levels() map[string]string
	// SetLevel gives a logger that exists one of logLevels.
	SetLevel(name, level string)
	// UnsetLevel makes a logger other than the root follow the one above it.
	UnsetLevel(name string)
}

// rootLogger is above all others.
const rootLogger = "root"

// logLevels are log4j's levels, in the order in which Kafka names them.
var logLevels = []string{"DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"}

// describeLoggers gives every logger as a setting. Kafka tells neither types nor
// synonyms of them, and documents them with nothing.
func describeLoggers(name string, broker meta.BrokerID, loggers brokerLoggers) ([]Setting, error) {
	if name == "" {
		return nil, Fail(frame.InvalidRequest, "Broker id must not be empty")
	}
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return nil, Fail(frame.InvalidRequest, "Broker id must be an integer, but it is: "+name)
	}
	if meta.BrokerID(id) != broker {
		return nil, Fail(frame.InvalidRequest, fmt.Sprintf("Unexpected broker id, expected %d but received %s", broker, name))
	}
	levels := loggers.Levels()
	var all []Setting
	for _, name := range slices.Sorted(maps.Keys(levels)) {
		level := levels[name]
		all = append(all, Setting{Name: name, Value: &level, Source: kmsg.ConfigSourceDynamicBrokerLoggerConfig})
	}
	return all, nil
}

// alterLoggers changes levels: all of a request's, or none.
func alterLoggers(r *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool, broker meta.BrokerID, loggers brokerLoggers) error {
	id, err := strconv.ParseInt(r.ResourceName, 10, 32)
	if err != nil {
		return Fail(frame.InvalidRequest, "Node id must be an integer, but it is: "+r.ResourceName)
	}
	if meta.BrokerID(id) != broker {
		return Fail(frame.InvalidRequest, fmt.Sprintf("Unexpected node id. Expected %d, but received %d", broker, id))
	}
	levels := loggers.Levels()
	for _, op := range r.Configs {
		if err := checkLoggerOp(op, levels); err != nil {
			return err
		}
	}
	if validateOnly {
		return nil
	}
	for _, op := range r.Configs {
		if op.Op == kmsg.IncrementalAlterConfigOpDelete {
			loggers.UnsetLevel(op.Name)
		} else {
			loggers.SetLevel(op.Name, *op.Value)
		}
	}
	return nil
}

func checkLoggerOp(op kmsg.IncrementalAlterConfigsRequestResourceConfig, levels map[string]string) error {
	_, known := levels[op.Name]
	switch op.Op {
	case kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete:
		if !known {
			return Fail(frame.InvalidConfig, fmt.Sprintf("Logger %s does not exist!", op.Name))
		}
	case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
		return Fail(frame.InvalidRequest, fmt.Sprintf("%s operation is not allowed for the BROKER_LOGGER resource", op.Op))
	default:
		return Fail(frame.UnknownServerError, fmt.Sprintf("Unknown operation %d on logger %s", op.Op, op.Name)) // Kafka fails on it
	}
	if op.Op == kmsg.IncrementalAlterConfigOpDelete {
		if op.Name == rootLogger {
			return Fail(frame.InvalidRequest, "Removing the log level of the root logger is not allowed")
		}
		return nil
	}
	if !slices.Contains(logLevels, *op.Value) {
		return Fail(frame.InvalidConfig, fmt.Sprintf("Cannot set the log level of %s to %s as it is not a supported log level. Valid log levels are %s",
			op.Name, *op.Value, strings.Join(logLevels, ", ")))
	}
	return nil
}
