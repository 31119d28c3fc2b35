// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e/conformance"
)

// Every list of every request of every version is sent null, empty and with the
// same element twice, to a real Kafka and to Samsa: both close the connection,
// or both answer, with the same error codes. (CVE-2026-83525.)
func TestHostileListsAnswerLikeKafka(t *testing.T) {
	props := map[string]string{"auto.create.topics.enable": "false", "group.initial.rebalance.delay.ms": "0"}
	kafka := conformance.StartKafka(t, conformance.StartZooKeeper(t), t.TempDir(), props)
	samsa := e2e.Start(t, e2e.Options{Props: props})
	ours, theirs := newSide(t, samsa.Addr), newSide(t, kafka.Addr)
	e2e.Settle(t, ours.conn(""))
	e2e.Settle(t, theirs.conn(""))
	resp, err := ours.conn("").Call(kmsg.NewPtrApiVersionsRequest())
	if err != nil {
		t.Fatal(err)
	}
	known := acceptedLists()
	asked := 0
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		for version := k.MinVersion; version <= k.MaxVersion; version++ {
			req, _ := hostiletest.Request(k.ApiKey, version)
			fields, set := hostiletest.Lists(req)
			one := req.AppendTo(nil)
			ask := func(what string, body []byte) {
				a, b := kind(t, samsa.Addr, req, body), kind(t, kafka.Addr, req, body)
				asked++
				if a != b && !excused(known, what+": "+a+", Kafka "+b) {
					t.Errorf("%s: %s, Kafka %s", what, a, b)
				}
			}
			name := fmt.Sprintf("%s v%d", kmsg.NameForKey(k.ApiKey), version)
			for _, l := range hostiletest.Lengths(req) {
				for _, lie := range l.Lies(one) {
					if !l.Maybe && !l.Tagged && (strings.HasSuffix(lie.Name, " null") || strings.HasSuffix(lie.Name, " -2")) {
						ask(name+" length of "+lie.Name, lie.Bytes)
					}
				}
			}
			for i, field := range fields {
				for _, n := range []int{-1, 0, 2} {
					set(i, n)
					body := req.AppendTo(nil)
					set(i, 1)
					if string(body) == string(one) {
						continue // not in this version
					}
					ask(fmt.Sprintf("%s %s %s", name, field, map[int]string{-1: "null", 0: "empty", 2: "twice"}[n]), body)
				}
			}
		}
	}
	t.Logf("%d requests", asked)
	for i := range known {
		if !known[i].used {
			t.Errorf("the accepted difference %q was not met: take it off the list", known[i].where)
		}
	}
}

// acceptedLists are meant; each says why.
func acceptedLists() []accepted {
	a := func(where, reason string) accepted { return accepted{where: regexp.MustCompile(where), reason: reason} }
	return []accepted{
		a(`^InitProducerID .*ErrorCode=15,`, "transactions are not served yet"),
		a(`^AlterConfigs v\d+ \.Resources twice: Resources\.ErrorCode=42, Kafka silent$`, "Kafka never answers"),
		a(`^OffsetFetch v\d+ \.Groups (null|empty): ok, Kafka silent$`, "Kafka never answers"),
	}
}

// kind says what comes back: the error codes of the answer, or its absence.
func kind(t *testing.T, addr string, req kmsg.Request, body []byte) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := binary.BigEndian.AppendUint32(nil, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(req.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(req.GetVersion()))
	b = append(b, 0, 0, 0, 7, 0, 1, 'x')
	skip := 4
	if req.IsFlexible() {
		b = append(b, 0)
		if req.Key() != 18 {
			skip = 5
		}
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, _ = conn.Write(b)
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return "silent"
		}
		return "closed"
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return "cut"
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(answer[skip:]); err != nil {
		return "undecodable"
	}
	return e2e.ErrorCodes(resp)
}
