// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package java

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e/conformance"
)

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// A standalone Kafka Connect worker carries a file through a topic into another
// file; a second worker goes on where the first one stopped.
func TestConnectFiles(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	dir := t.TempDir()
	in, out, rest := filepath.Join(dir, "in"), filepath.Join(dir, "out"), e2e.FreeAddr(t)
	file := func(name string, lines ...string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	worker := file("worker.properties", "bootstrap.servers="+b.Addr, "listeners=http://"+rest, "plugin.path="+filepath.Dir(conformance.ClassPath(t, "java-connect")),
		"key.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter=org.apache.kafka.connect.json.JsonConverter",
		"offset.storage.file.filename="+filepath.Join(dir, "offsets"), "offset.flush.interval.ms=1000")
	source := file("source.properties", "name=source", "connector.class=FileStreamSource", "tasks.max=1", "file="+in, "topic=lines")
	sink := file("sink.properties", "name=sink", "connector.class=FileStreamSink", "tasks.max=1", "file="+out, "topics=lines", "consumer.override.metadata.max.age.ms=1000")
	quiet := file("log4j.properties", "log4j.rootLogger=WARN, s", "log4j.appender.s=org.apache.log4j.ConsoleAppender", "log4j.appender.s.layout=org.apache.log4j.SimpleLayout")

	text := ""
	more := func(from, to int) {
		for i := from; i < to; i++ {
			text += fmt.Sprintf("line %d with words\n", i)
		}
		if err := os.WriteFile(in, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	equal := func() {
		t.Helper()
		e2e.Eventually(t, 60*time.Second, func() error {
			if got, _ := os.ReadFile(out); string(got) != text {
				return fmt.Errorf("%d bytes came out, %d went in", len(got), len(text))
			}
			return nil
		})
	}
	start := func() *process {
		return run(t, "-Dlog4j.configuration=file:"+quiet, "-cp", conformance.ClassPath(t, "kafka39"), "org.apache.kafka.connect.cli.ConnectStandalone", worker, source, sink)
	}
	more(0, 500)
	p := start()
	equal()
	more(500, 700)
	equal()
	for _, connector := range []string{"source", "sink"} {
		e2e.Eventually(t, 20*time.Second, func() error {
			var status struct {
				Connector struct{ State string }
				Tasks     []struct{ State string }
			}
			err := get("http://"+rest+"/connectors/"+connector+"/status", &status)
			if err == nil && (status.Connector.State != "RUNNING" || len(status.Tasks) != 1 || status.Tasks[0].State != "RUNNING") {
				err = fmt.Errorf("%s: %+v", connector, status)
			}
			return err
		})
	}
	p.stop()
	more(700, 900)
	p = start()
	equal()
	p.stop()
	values := e2e.ReadAll(t, b.Addr, "lines")[0]
	if last := len(values) - 1; last != 899 || values[last].Value != `{"schema":{"type":"string","optional":false},"payload":"line 899 with words"}` {
		t.Errorf("%d records, the last %q", len(values), values[max(0, last)].Value)
	}
	if at := committed(t, b.Addr, "connect-sink"); at["lines-0"] != 900 {
		t.Errorf("the sink committed %v", at)
	}
}

func get(url string, into any) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
