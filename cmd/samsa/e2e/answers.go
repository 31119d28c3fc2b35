// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"hash/crc32"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Known is what a broker called things, so that its answers can be held against
// another's.
type Known struct {
	Addr   string
	IDs    map[string][16]byte // of topics
	Names  map[string]string   // of members: the name of each id
	Serves map[int16][2]int16  // the API keys compared, and their versions
}

// Lines are the fields of a request or answer, a line each, normalised.
func (k *Known) Lines(message any) []string {
	return k.lines(nil, "", reflect.ValueOf(message).Elem())
}

// lines appends a line for each field of v. Structures in lists are put in the
// order of what names them: Kafka's own order comes from hash maps.
func (k *Known) lines(out []string, path string, v reflect.Value) []string {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "Version" || f.Name == "UnknownTags" || !f.IsExported() {
				continue
			}
			out = k.lines(out, path+"."+f.Name, v.Field(i))
		}
		return out
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			return k.list(out, path, v)
		}
	}
	return append(out, path+"="+k.value(path, v))
}

func (k *Known) list(out []string, path string, v reflect.Value) []string {
	var elems []reflect.Value
	for i := range v.Len() {
		e := v.Index(i)
		if a, ok := e.Interface().(kmsg.ApiVersionsResponseApiKey); ok {
			if _, served := k.Serves[a.ApiKey]; !served {
				continue
			}
		}
		elems = append(elems, e)
	}
	name := func(e reflect.Value) string {
		for _, field := range []string{"Topic", "ResourceName", "Group", "Name", "MemberID", "Partition", "Key", "ApiKey", "NodeID"} {
			if f := e.FieldByName(field); f.IsValid() && (field != "Topic" || k.value("", f) != "") {
				return k.value("", f)
			}
		}
		return k.value("", e.Field(0))
	}
	order := func(e reflect.Value) string { return name(e) + strings.Join(k.lines(nil, "", e), "\n") }
	slices.SortStableFunc(elems, func(a, b reflect.Value) int { return strings.Compare(order(a), order(b)) })
	if !strings.HasSuffix(path, ".Configs") {
		out = append(out, fmt.Sprintf("%s.length=%d", path, len(elems)))
	}
	times := map[string]int{}
	for _, e := range elems {
		label := name(e)
		if times[label]++; times[label] > 1 {
			label = fmt.Sprintf("%s#%d", label, times[label])
		}
		out = k.lines(out, path+"["+label+"]", e)
	}
	return out
}

// uuid is what is random in member ids.
var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// value prints a field without what cannot be equal: ids, times, addresses, the
// words of messages.
func (k *Known) value(path string, v reflect.Value) string {
	name := path[strings.LastIndexByte(path, '.')+1:]
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "null"
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case [16]byte:
		return k.topicName(x)
	case []byte:
		if x == nil {
			return "null"
		}
		return fmt.Sprintf("%d bytes, CRC-32 %08x", len(x), crc32.ChecksumIEEE(x))
	}
	text := fmt.Sprint(v.Interface())
	switch name {
	case "Host", "Port", "ErrorMessage", "ClusterID", "Dir", "Documentation", "TotalBytes", "UsableBytes":
		if text != "" && text != "-1" {
			return "some"
		}
	case "ProducerID":
		if text != "-1" {
			return "some"
		}
	case "LogAppendTime", "Timestamp", "SessionID":
		if text != "-1" && text != "0" && len(text) > 3 {
			return "some"
		}
	case "Value":
		return strings.ReplaceAll(text, k.Addr, "address")
	}
	if known := k.Names[text]; known != "" {
		return "id of " + known
	}
	return uuid.ReplaceAllString(text, "uuid")
}

// topicName is the name of a topic with that id.
func (k *Known) topicName(id [16]byte) string {
	if id == [16]byte{} {
		return "none"
	}
	for name, known := range k.IDs {
		if known == id {
			return "id of " + name
		}
	}
	return "some id"
}

// Diff names the lines that are not in both.
func Diff(ours, kafkas []string) []string {
	theirs := map[string]string{}
	for _, line := range kafkas {
		path, value, _ := strings.Cut(line, "=")
		theirs[path] = value
	}
	var out []string
	for _, line := range ours {
		path, value, _ := strings.Cut(line, "=")
		want, ok := theirs[path]
		if !ok {
			want = "nothing"
		}
		if !ok || want != value {
			out = append(out, fmt.Sprintf("%s: %s, Kafka %s", path, value, want))
		}
		delete(theirs, path)
	}
	for _, line := range kafkas {
		path, value, _ := strings.Cut(line, "=")
		if _, left := theirs[path]; left {
			out = append(out, fmt.Sprintf("%s: nothing, Kafka %s", path, value))
		}
	}
	return out
}
