// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// debianPython is the interpreter that Debian's python3-kafka belongs to.
const debianPython = "/usr/bin/python3"

// The kafka-python quick start of the README, as a reader would type it.
func TestKafkaPythonQuickStart(t *testing.T) {
	runPython(t, "scripts/kafka_python_quickstart.py")
}

// The same with the newest kafka-python.
func TestKafkaPythonNewestQuickStart(t *testing.T) {
	root, err := e2e.Root()
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(root, ".cache", "peers", "python", "bin", "python")
	if err := exec.Command(python, "-c", "import kafka, msgpack").Run(); err != nil {
		t.Fatalf("%s lacks kafka or msgpack (%v): %s python", python, err, install)
	}
	b := e2e.Start(t, e2e.Options{})
	t.Log(Run(t, nil, python, "-B", "scripts/kafka_python_quickstart.py", b.Addr))
}

// Every codec of kafka-python, keyed messages and headers.
func TestKafkaPythonCodecs(t *testing.T) {
	runPython(t, "scripts/kafka_python_codecs.py")
}

// confluent-kafka: idempotent producer, group with commits, admin client.
func TestConfluentKafka(t *testing.T) {
	runPython(t, "scripts/confluent_quickstart.py")
}

func runPython(t *testing.T, script string) {
	t.Helper()
	if err := exec.Command(debianPython, "-c", "import kafka, confluent_kafka, msgpack, snappy, lz4, zstandard").Run(); err != nil {
		t.Fatalf("%s lacks kafka, confluent_kafka, msgpack, snappy, lz4 or zstandard (%v): %s", debianPython, err, install)
	}
	b := e2e.Start(t, e2e.Options{Props: map[string]string{"log.retention.ms": "-1"}}) // some records say 2023
	t.Log(Run(t, nil, debianPython, script, b.Addr))
}
