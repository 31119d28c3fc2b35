// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/samsa-broker/samsa/config"
	"github.com/samsa-broker/samsa/wire/server"
)

// limitConnections says how many connections there may be, and how fast they
// may come.
func limitConnections(conf *config.Broker, l *server.Limits) error {
	none := func(n int) int { // the configuration's 0 is the server's negative
		if n == 0 {
			return -1
		}
		return n
	}
	l.Connections, l.ConnectionsPerIP, l.CreationRate = none(conf.MaxConnections), none(conf.MaxConnectionsPerIP), none(conf.MaxConnectionCreationRate)
	l.Protected, l.Descriptors = conf.InterBrokerListener, connectionLimit()
	l.RateWindows, l.RateWindow = conf.QuotaWindows, conf.QuotaWindow
	l.Listeners = map[string]server.ListenerLimits{}
	for i := range conf.Listeners {
		var own server.ListenerLimits
		for key, limit := range map[string]*int{"max.connections": &own.Connections, "max.connection.creation.rate": &own.CreationRate} {
			n, _, err := conf.OfListener(conf.Listeners[i].Name, key)
			if err != nil {
				return err
			}
			*limit = int(n)
		}
		if own != (server.ListenerLimits{}) {
			l.Listeners[conf.Listeners[i].Name] = own
		}
	}
	return nil
}
