// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e/conformance"
)

// What testdata/walk says of a real Kafka is what it answers; package e2e holds
// Samsa against these files. `make captures` writes them anew instead.
func TestTheWalkIsKafkas(t *testing.T) {
	serves := e2e.Serves(t, e2e.Start(t, e2e.Options{Props: e2e.WalkProps}).Addr)
	kafka := conformance.StartKafka(t, conformance.StartZooKeeper(t), t.TempDir(), e2e.WalkProps)
	w := e2e.NewWalk(t, kafka.Addr, serves)
	w.Patience = 6 * time.Second
	heard := w.Bodies()
	limits := e2e.FormatLimits(w.Limits())
	t.Logf("%d bodies", len(heard))
	if *captures != "" {
		keep(t, filepath.Join(*captures, "walk"), heard, limits)
		return
	}
	bodies, err := w.Against(e2e.Captures(t), heard)
	sizes, err2 := e2e.AgainstLimits(e2e.Captures(t), limits)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for _, d := range append(bodies, sizes...) {
		t.Error(d)
	}
}

func keep(t *testing.T, dir string, heard []e2e.Heard, limits string) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := e2e.SaveBodies(dir, "Apache Kafka 3.9.2", heard); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "limits.txt"), []byte(limits), 0o644); err != nil {
		t.Fatal(err)
	}
}
