// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// exchange is one question that both brokers are asked, in every version from
// from to to.
type exchange struct {
	name     string
	from, to int16
	ask      func(s *side, v int16) kmsg.Request
	then     func(s *side, resp kmsg.Response) // notes what later questions need; may be nil
}

// side is one of the two brokers, and what it called things.
type side struct {
	t      testing.TB
	addr   string
	raw    *e2e.Raw
	ids    map[string][16]byte // of topics
	serves map[int16]bool      // the API keys compared
}

// answer asks and gives the normalised answer as lines.
func (s *side) answer(x *exchange, v int16) []string {
	req := x.ask(s, v)
	req.SetVersion(v)
	resp, err := s.call(req)
	switch {
	case errors.Is(err, errNoAnswer):
		s.raw = e2e.Dial(s.t, s.addr)
		return []string{"no answer"}
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		s.raw = e2e.Dial(s.t, s.addr)
		return []string{"closed"}
	case err != nil:
		s.raw = e2e.Dial(s.t, s.addr)
		return []string{"undecodable: " + err.Error()}
	}
	if x.then != nil {
		x.then(s, resp)
	}
	return s.lines(nil, "", reflect.ValueOf(resp).Elem())
}

// errNoAnswer: long after the question there is none.
var errNoAnswer = errors.New("no answer")

// call is Raw.Call with less patience.
func (s *side) call(req kmsg.Request) (kmsg.Response, error) {
	type answer struct {
		resp kmsg.Response
		err  error
	}
	done, raw := make(chan answer, 1), s.raw
	go func() {
		resp, err := raw.Call(req)
		done <- answer{resp, err}
	}()
	select {
	case a := <-done:
		return a.resp, a.err
	case <-time.After(30 * time.Second):
		return nil, errNoAnswer
	}
}

// lines appends a line for each field of v. Structures in lists are put in the
// order of what names them: Kafka's own order comes from hash maps.
func (s *side) lines(out []string, path string, v reflect.Value) []string {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "Version" || f.Name == "UnknownTags" || !f.IsExported() {
				continue
			}
			out = s.lines(out, path+"."+f.Name, v.Field(i))
		}
		return out
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			return s.list(out, path, v)
		}
	}
	return append(out, path+"="+s.value(path, v))
}

func (s *side) list(out []string, path string, v reflect.Value) []string {
	var elems []reflect.Value
	for i := range v.Len() {
		e := v.Index(i)
		if k, ok := e.Interface().(kmsg.ApiVersionsResponseApiKey); ok && !s.serves[k.ApiKey] {
			continue
		}
		elems = append(elems, e)
	}
	name := func(e reflect.Value) string {
		for _, field := range []string{"Topic", "ResourceName", "Group", "Name", "MemberID", "Partition", "Key", "ApiKey", "NodeID"} {
			if f := e.FieldByName(field); f.IsValid() && (field != "Topic" || s.value("", f) != "") {
				return s.value("", f)
			}
		}
		return s.value("", e.Field(0))
	}
	slices.SortStableFunc(elems, func(a, b reflect.Value) int { return strings.Compare(name(a), name(b)) })
	if !strings.HasSuffix(path, ".Configs") {
		out = append(out, fmt.Sprintf("%s.length=%d", path, len(elems)))
	}
	times := map[string]int{}
	for _, e := range elems {
		label := name(e)
		if times[label]++; times[label] > 1 {
			label = fmt.Sprintf("%s#%d", label, times[label])
		}
		out = s.lines(out, path+"["+label+"]", e)
	}
	return out
}

// uuid is what is random in member ids.
var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// value prints a field without what cannot be equal: ids, times, addresses, the
// words of messages.
func (s *side) value(path string, v reflect.Value) string {
	name := path[strings.LastIndexByte(path, '.')+1:]
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "null"
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case [16]byte:
		return s.topicName(x)
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
		return strings.ReplaceAll(text, s.addr, "address")
	}
	return uuid.ReplaceAllString(text, "uuid")
}

// topicName is the name of a topic with that id.
func (s *side) topicName(id [16]byte) string {
	if id == [16]byte{} {
		return "none"
	}
	for name, known := range s.ids {
		if known == id {
			return "id of " + name
		}
	}
	return "some id"
}

// accepted is a difference that is meant.
type accepted struct {
	where  *regexp.Regexp // over "exchange vN path"
	reason string
	used   bool
}

// differ asks both everything and reports what is not accepted.
func differ(t *testing.T, ours, kafka *side, script []exchange, known []accepted) {
	t.Helper()
	for i := range script {
		x := &script[i]
		for v := x.from; v <= x.to; v++ {
			begun := time.Now()
			a := ours.answer(x, v)
			between := time.Now()
			b := kafka.answer(x, v)
			if d, e := between.Sub(begun), time.Since(between); d > 2*time.Second || e > 2*time.Second {
				t.Logf("%s v%d took %v here, %v there", x.name, v, d, e)
			}
			for _, d := range diff(a, b) {
				where := fmt.Sprintf("%s v%d %s", x.name, v, d)
				if !excused(known, where) {
					t.Errorf("%s", where)
				}
			}
		}
	}
	for i := range known {
		if !known[i].used {
			t.Errorf("the accepted difference %q was not met: take it off the list", known[i].where)
		}
	}
}

func excused(known []accepted, where string) bool {
	for i := range known {
		if known[i].where.MatchString(where) {
			known[i].used = true
			return true
		}
	}
	return false
}

// diff names the lines that are not in both.
func diff(ours, kafkas []string) []string {
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
