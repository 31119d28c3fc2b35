// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// harmless are keys, and up to which version, in which nothing can be asked
// that is answered with an error.
var harmless = map[int16]int16{
	9:  9, // OffsetFetch: what is not there has no offset
	10: 0, // FindCoordinator: one kind
	15: 5, // DescribeGroups: what is not there is Dead
	16: 5, // ListGroups: filters that match nothing
	18: 2, // ApiVersions: empty
	35: 4, // DescribeLogDirs: logs that are not there are left out
	60: 0, // DescribeCluster: one flag
}

// neverGood are keys, and up to which version, of which nothing good is asked
// here: TestOldFormatsAnswersAsKafka and TestEveryVersionOfEveryAPI do that.
var neverGood = map[int16]int16{
	0: 2, // Produce and
	1: 3, // Fetch: they carry the old message formats
}

// covered fails for each version of an API that Samsa advertises and that was
// not asked something good and something bad.
func covered(t *testing.T, s *side) {
	t.Helper()
	for key, versions := range s.Serves {
		for v := versions[0]; v <= versions[1]; v++ {
			n := s.asked[[2]int16{key, v}]
			if n == nil {
				n = &tally{}
			}
			last, ok := neverGood[key]
			if n.good == 0 && !(ok && v <= last) {
				t.Errorf("%s v%d: nothing that goes well was asked", kmsg.NameForKey(key), v)
			}
			if last, ok = harmless[key]; n.bad == 0 && !(ok && v <= last) {
				t.Errorf("%s v%d: nothing that is refused was asked", kmsg.NameForKey(key), v)
			}
		}
	}
}

// alsoTagged are the exchanges that are asked once more with tagged fields that
// nobody knows, in each structure of the request.
var alsoTagged = []string{
	"ApiVersions plain", "CreatePartitions same", "CreateTopics good", "DeleteGroups unknown", "DeleteRecords some", "DeleteTopics unknown",
	"DescribeCluster plain", "DescribeConfigs one key", "DescribeGroups offsets only", "DescribeLogDirs unknown", "AlterConfigs good",
	"Fetch from the start", "Fetch new session", "FindCoordinator group", "Heartbeat stranger", "IncrementalAlterConfigs set", "InitProducerId plain",
	"JoinGroup unknown member", "LeaveGroup stranger", "ListGroups all", "ListOffsets latest", "Metadata one", "OffsetCommit simple",
	"OffsetFetch committed", "OffsetForLeaderEpoch zero", "Produce acks all", "SyncGroup stranger",
}

// tagged puts what is asked with tagged fields, too, behind what is asked without.
func tagged(script []exchange) []exchange {
	var out []exchange
	for _, x := range script {
		out = append(out, x)
		if !slices.Contains(alsoTagged, x.name) {
			continue
		}
		ask := x.ask
		x.name += ", tagged"
		x.ask = func(s *side, v int16) kmsg.Request {
			req := ask(s, v)
			if req.SetVersion(v); !req.IsFlexible() {
				return nil
			}
			setTags(reflect.ValueOf(req).Elem())
			return req
		}
		out = append(out, x)
	}
	return out
}

// setTags gives each structure in v a tagged field that no version knows.
func setTags(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if f := v.FieldByName("UnknownTags"); f.IsValid() {
			f.Addr().Interface().(*kmsg.Tags).Set(1000, []byte("unheard of"))
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				setTags(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			setTags(v.Index(i))
		}
	}
}
