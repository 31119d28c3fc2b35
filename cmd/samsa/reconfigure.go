// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"

	"github.com/samsa-broker/samsa/cmd/samsa/loggers"
	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/controller/embedded"
	"github.com/samsa-broker/samsa/controller/meta"
)

// What can change while the broker runs (Kafka's dynamic broker configs).

// inForce is a configuration at one moment.
type inForce struct{ conf *config.Broker }

// reconfigure applies what is set to the broker: before it serves what is
// stored, later every change. The controller configures the replicas afterwards.
func (b *broker) reconfigure(set embedded.BrokerConfigs) meta.Broker {
	b.apply(set)
	if b.server == nil {
		return b.self()
	}
	limits, err := inForce{b.current.Load()}.limits()
	if err != nil { // a host of the overrides that is not to be found
		b.loggers.Logger(loggers.Config).Error("connection limits are as they were", "err", err)
		return b.self()
	}
	b.server.SetLimits(limits)
	return b.self()
}

// apply makes the configuration in force and names what in it has no effect.
func (b *broker) apply(set embedded.BrokerConfigs) {
	next, notices := b.conf.WithDynamic(set.All, set.Own)
	b.current.Store(next)
	both := maps.Clone(set.All)
	if both == nil {
		both = map[string]string{}
	}
	maps.Copy(both, set.Own)
	for _, n := range slices.Concat(notices, config.IdleDynamic(both)) {
		if _, before := b.parts.named.LoadOrStore("broker "+n.Key, true); !before {
			b.loggers.Logger(loggers.Config).Info("config set while the broker runs: "+n.String(), "key", n.Key)
		}
	}
}
