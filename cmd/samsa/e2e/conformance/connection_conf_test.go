// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// A real Kafka 3.9 does about connections what the end-to-end suite wants of
// samsa: the same scripts, the same lines.
func TestConnectionRulesAreKafkas(t *testing.T) {
	zk := StartZooKeeper(t)
	for i, rule := range e2e.ConnectionRules {
		t.Run(rule.Name, func(t *testing.T) {
			props, brokers := maps.Clone(rule.Props), ""
			if rule.Two {
				brokers = e2e.FreeAddr(t)
				maps.Copy(props, e2e.ListenerProps(e2e.FreeAddr(t), brokers))
			}
			k := StartKafka(t, fmt.Sprintf("%s/rule%d", zk, i), t.TempDir(), props)
			if got := rule.Tell(t, k.Addr, brokers); !slices.Equal(got, rule.Want) {
				t.Errorf("Kafka tells %q, samsa has to tell %q", got, rule.Want)
			}
		})
	}
}
