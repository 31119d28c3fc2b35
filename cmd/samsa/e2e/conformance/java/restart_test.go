// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package java

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// The broker is stopped and killed under all Java clients, each with an
// idempotent producer at work and a consumer in a group: no producer notices,
// and every acknowledged record is there once, in order, and consumed.
func TestJavaOutlivesTheBroker(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	jvms := map[string]*JVM{}
	for _, c := range clients {
		j := c.at(t, b.Addr)
		j.Do(t, "create", c.version, 1)
		j.Do(t, "open", "m", "g-"+c.version, c.version, "reconnect.backoff.ms=50")
		j.Do(t, append([]any{"start", c.version, "compression.type=" + c.codecs[len(c.codecs)-1], "linger.ms=2", "delivery.timeout.ms=90000", "request.timeout.ms=3000"}, c.idempotent()...)...)
		jvms[c.version] = j
	}
	ahead := func(n int) {
		t.Helper()
		for version, j := range jvms {
			e2e.Eventually(t, 60*time.Second, func() error {
				if acked, _ := strconv.Atoi(j.Do(t, "acked")[0]); acked < n {
					return fmt.Errorf("%s: %d acknowledged, want %d", version, acked, n)
				}
				return nil
			})
		}
	}
	ahead(500)
	b.Kill()
	b = b.Again()
	ahead(1500)
	b.Stop()
	b = b.Again()
	ahead(2500)
	b.Kill()
	b = b.Again()
	ahead(3500)
	for version, j := range jvms {
		acked := j.Do(t, "finish")
		records := e2e.ReadAll(t, b.Addr, version)[0]
		if len(records) != len(acked) {
			t.Errorf("%s: %d records, %d acknowledged", version, len(records), len(acked))
		}
		for i, r := range records {
			if r.Value != fmt.Sprint(i) || r.Offset != int64(i) {
				t.Fatalf("%s: record %d at %d is %s", version, i, r.Offset, r.Value)
			}
		}
		seen := map[string]bool{}
		for _, line := range j.Do(t, "take", "m", len(records)) {
			f := strings.Fields(line)
			seen[f[2]] = true
		}
		if len(seen) != len(records) {
			t.Errorf("%s consumed %d of %d records", version, len(seen), len(records))
		}
		j.Do(t, "commit", "m")
		j.Do(t, "close", "m")
		if at := committed(t, b.Addr, "g-"+version); at[version+"-0"] != int64(len(records)) {
			t.Errorf("%s committed %v of %d", version, at, len(records))
		}
	}
}
