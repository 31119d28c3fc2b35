// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"maps"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/frame"
)

// levels are the levels that were set; the logger "below" follows the root.
type levels map[string]string

func (l levels) Levels() map[string]string {
	out := maps.Clone(l)
	if out["below"] == "" {
		out["below"] = out["root"]
	}
	return out
}
func (l levels) SetLevel(name, level string) { l[name] = level }
func (l levels) UnsetLevel(name string)      { delete(l, name) }

// shelfAdmin is an admin over s, with two loggers.
func shelfAdmin(s *shelf) Admin {
	return Admin{Broker: 1, Image: s, Topics: s, Settings: book{}, Loggers: levels{"root": "INFO", "below": "WARN"}}
}

// Loggers are settings of a broker that only it tells, of no type and without
// synonyms.
func TestDescribeLoggers(t *testing.T) {
	for version := int16(0); version <= 4; version++ {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.IncludeSynonyms, req.IncludeDocumentation = true, true
		for _, names := range [][]string{nil, {"root", "no.such"}, {"no.such"}} {
			req.Resources = append(req.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: 8, ResourceName: "1", ConfigNames: names})
		}
		req.Resources = append(req.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: 8, ResourceName: "2"}, kmsg.DescribeConfigsRequestResource{ResourceType: 8, ResourceName: "x"})
		resp := ask(t, DescribeConfigs(shelfAdmin(newShelf())), version, req).(*kmsg.DescribeConfigsResponse)
		got := ""
		for _, r := range resp.Resources {
			got += fmt.Sprintf("%d", r.ErrorCode)
			for _, c := range r.Configs {
				got += fmt.Sprintf(" %s=%s", c.Name, text(c.Value))
				if c.ReadOnly || c.IsSensitive || len(c.ConfigSynonyms) > 0 || c.ConfigType != 0 || version >= 1 && c.Source != kmsg.ConfigSourceDynamicBrokerLoggerConfig || version >= 3 && (c.Documentation == nil || *c.Documentation != "") {
					t.Errorf("v%d: %+v", version, c)
				}
			}
			got += "; "
		}
		if want := "0 below=WARN root=INFO; 0 root=INFO; 0; 42; 42; "; got != want {
			t.Errorf("v%d: %s, want %s", version, got, want)
		}
	}
}

// Levels are set and unset, all of a request's or none.
func TestAlterLoggers(t *testing.T) {
	type op = kmsg.IncrementalAlterConfigsRequestResourceConfig
	const set, del, app, sub = 0, 1, 2, 3
	const before = "map[below:WARN root:INFO]"
	for _, tc := range []struct {
		name     string
		ops      []op
		validate bool
		code     frame.ErrorCode
		want     string
	}{
		{"1", []op{{Name: "root", Op: set, Value: str("TRACE")}}, false, 0, "map[below:WARN root:TRACE]"},
		{"1", []op{{Name: "below", Op: set, Value: str("FATAL")}, {Name: "root", Op: set, Value: str("ERROR")}}, false, 0, "map[below:FATAL root:ERROR]"},
		{"1", []op{{Name: "below", Op: del}}, false, 0, "map[root:INFO]"},
		{"1", []op{{Name: "below", Op: del, Value: str("DEBUG")}}, false, 0, "map[root:INFO]"},
		{"1", nil, false, 0, before},
		{"1", []op{{Name: "root", Op: set, Value: str("TRACE")}}, true, 0, before},
		{"1", []op{{Name: "root", Op: set, Value: str("LOUD")}}, true, frame.InvalidConfig, before},
		{"1", []op{{Name: "root", Op: set, Value: str("debug")}}, false, frame.InvalidConfig, before},
		{"1", []op{{Name: "root", Op: set, Value: str("")}}, false, frame.InvalidConfig, before},
		{"1", []op{{Name: "root", Op: set}}, false, frame.InvalidRequest, before},
		{"1", []op{{Name: "root", Op: set, Value: str("DEBUG")}, {Name: "no.such", Op: set, Value: str("DEBUG")}}, false, frame.InvalidConfig, before},
		{"1", []op{{Name: "no.such", Op: del}}, false, frame.InvalidConfig, before},
		{"1", []op{{Name: "", Op: set, Value: str("DEBUG")}}, false, frame.InvalidConfig, before},
		{"1", []op{{Name: "root", Op: del}}, false, frame.InvalidRequest, before},
		{"1", []op{{Name: "root", Op: app, Value: str("DEBUG")}}, false, frame.InvalidRequest, before},
		{"1", []op{{Name: "no.such", Op: sub, Value: str("DEBUG")}}, false, frame.InvalidRequest, before},
		{"1", []op{{Name: "root", Op: 9, Value: str("DEBUG")}}, false, frame.UnknownServerError, before},
		{"1", []op{{Name: "root", Op: set, Value: str("DEBUG")}, {Name: "root", Op: set, Value: str("WARN")}}, false, frame.InvalidRequest, before},
		{"2", []op{{Name: "root", Op: set, Value: str("DEBUG")}}, false, frame.InvalidRequest, before},
		{"", []op{{Name: "root", Op: set, Value: str("DEBUG")}}, false, frame.InvalidRequest, before},
		{"x", []op{{Name: "root", Op: set, Value: str("DEBUG")}}, false, frame.InvalidRequest, before},
	} {
		a := shelfAdmin(newShelf())
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = tc.validate
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 8, ResourceName: tc.name, Configs: tc.ops}}
		r := ask(t, IncrementalAlterConfigs(a), 1, req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		if got := fmt.Sprint(a.Loggers); r.ErrorCode != int16(tc.code) || got != tc.want {
			t.Errorf("%q %v: code %d (%s), levels %s", tc.name, tc.ops, r.ErrorCode, text(r.ErrorMessage), got)
		}
	}
}
