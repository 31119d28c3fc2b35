// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"slices"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

const loggerZero = "--entity-type broker-loggers --entity-name 0 "

// kafkaLoggers sets and unsets levels; of the loggers only the root has the same
// name in both brokers, whose others are their own packages and classes.
func kafkaLoggers(p *pair) {
	on := func(args, want string) call { return call{configCommand, args, want} }
	calls := []call{on(loggerZero+"--alter --add-config root=ERROR", "Completed updating"), on(loggerZero+"--alter --add-config root=LOUD", "code 1"),
		on(loggerZero+"--alter --add-config no.such.logger=INFO", "code 1"), on(loggerZero+"--alter --delete-config no.such.logger", "code 1"),
		on(loggerZero+"--alter --delete-config root", "code 1"), on("--broker-logger 0 --alter --add-config root=WARN", "Completed updating"),
		on("--entity-type broker-loggers --entity-default --alter --add-config root=INFO", "code 1"), on("--entity-type broker-loggers --entity-name x --describe", "code 1")}
	p.all("kafka39", calls...)
	p.all("kafka4", calls...)
}

// kafka-configs of 3.9 and 4 shows the loggers with their levels, and a level
// that it sets acts: the next call's connection is told of, and is not any more
// once the level is deleted.
func TestKafkaConfigsOfLoggers(t *testing.T) {
	p := &pair{t: t, samsa: e2e.Start(t, e2e.Options{}), many: many(t)}
	opened := func() int { return strings.Count(p.samsa.Log(), `level=DEBUG msg="connection opened"`) }
	for _, peer := range []string{"kafka39", "kafka4"} {
		before := opened()
		said := p.ask(peer, p.samsa.Addr, p.samsa.Dir, []call{
			{class: configCommand, args: loggerZero + "--describe"},
			{class: configCommand, args: loggerZero + "--alter --add-config samsa.wire=DEBUG"},
			{class: configCommand, args: loggerZero + "--alter --add-config samsa.wire.server=DEBUG,samsa.engine=WARN"},
			{class: configCommand, args: loggerZero + "--describe"},
			{class: configCommand, args: loggerZero + "--alter --delete-config samsa.wire.server,samsa.engine"},
			{class: configCommand, args: loggerZero + "--describe"},
		})
		if len(said) != 6 {
			t.Fatalf("%s: %v", peer, said)
		}
		level := func(at int, logger, level string) {
			t.Helper()
			if want := "  " + logger + "=" + level + " sensitive=false synonyms={}"; said[at].code != "0" || !slices.Contains(said[at].lines, want) {
				t.Errorf("%s, answer %d lacks %q: %v", peer, at, want, said[at])
			}
		}
		for _, logger := range []string{"root", "samsa", "samsa.engine", "samsa.engine.dir", "samsa.replica.group", "samsa.wire.server"} {
			level(0, logger, "INFO")
			level(5, logger, "INFO")
		}
		level(3, "root", "INFO")
		level(3, "samsa.wire.server", "DEBUG")
		level(3, "samsa.engine", "WARN")
		level(3, "samsa.engine.dir", "WARN")
		if said[1].code != "1" || said[2].code != "0" || said[4].code != "0" {
			t.Errorf("%s: changes: %v", peer, said)
		}
		told := opened()
		if told == before {
			t.Errorf("%s: connections are not told of at DEBUG", peer)
		}
		p.ask(peer, p.samsa.Addr, p.samsa.Dir, []call{{class: configCommand, args: loggerZero + "--describe"}})
		if opened() != told {
			t.Errorf("%s: connections are told of at INFO", peer)
		}
	}
}
