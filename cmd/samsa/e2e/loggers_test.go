// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// setLevels changes levels of the broker's loggers, name=LEVEL, or a name alone
// to unset one, and gives the error code.
func setLevels(t *testing.T, conn *Raw, changes ...string) int16 {
	t.Helper()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBrokerLogger, "0"
	for _, change := range changes {
		name, level, set := strings.Cut(change, "=")
		op := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Value: &level}
		if !set {
			op.Op, op.Value = kmsg.IncrementalAlterConfigOpDelete, nil
		}
		r.Configs = append(r.Configs, op)
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.Resources = 1, append(req.Resources, r)
	resp, err := conn.Call(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode
}

// getLevels gives the levels of the broker's loggers.
func getLevels(t *testing.T, conn *Raw) map[string]string {
	t.Helper()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBrokerLogger, "0"
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.Resources = 4, append(req.Resources, r)
	resp, err := conn.Call(req)
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]string{}
	for _, c := range resp.(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		levels[c.Name] = *c.Value
	}
	return levels
}

// listener follows what a broker prints, from one change of a level to the next.
type listener struct {
	t    *testing.T
	b    *Broker
	conn *Raw
	from int // bytes of the broker's log that were heard
}

// until changes levels and gives what was printed before, line by line. The
// broker tells of each change at WARN from the logger samsa.
func (l *listener) until(changes ...string) []string {
	l.t.Helper()
	if code := setLevels(l.t, l.conn, changes...); code != 0 {
		l.t.Fatalf("%v: error %d", changes, code)
	}
	name, level, set := strings.Cut(changes[0], "=")
	told := `msg="log level unset" of=` + name + " logger=samsa\n"
	if set {
		told = `msg="log level set" of=` + name + " level=" + level + " logger=samsa\n"
	}
	var heard string
	Eventually(l.t, 10*time.Second, func() error {
		log := l.b.Log()[l.from:]
		end := strings.Index(log, told)
		if end < 0 {
			return fmt.Errorf("%s is not told of", changes[0])
		}
		heard = log[:end]
		l.from += end + len(told)
		return nil
	})
	return strings.Split(heard, "\n")
}

// count counts lines of one logger and level.
func count(lines []string, level, logger string) int {
	n := 0
	for _, line := range lines {
		if strings.Contains(line, " level="+level+" ") && strings.HasSuffix(line, " logger="+logger) {
			n++
		}
	}
	return n
}

// act makes a connection, and a member of a group.
func act(t *testing.T, addr, group string) {
	t.Helper()
	conn := Dial(t, addr)
	Eventually(t, ReadyWithin, func() error {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKey = group
		if _, err := conn.Call(find); err != nil {
			return err
		}
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 3, group, "consumer", 30_000, 30_000
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}}
		resp, err := conn.Call(req)
		if err != nil {
			return err
		}
		if code := resp.(*kmsg.JoinGroupResponse).ErrorCode; code != 0 {
			return fmt.Errorf("join: error %d", code)
		}
		return nil
	})
}

// A level that is raised or lowered while the broker runs changes what it prints
// from then on; nothing of it outlives the process.
func TestLoggersChangeWhatIsPrinted(t *testing.T) {
	b := Start(t, Options{})
	all := func(when, level string, levels map[string]string) {
		t.Helper()
		for name, got := range levels {
			if got != level {
				t.Errorf("%s: %s is %s", when, name, got)
			}
		}
		if len(levels) < 8 {
			t.Errorf("%s: only %v", when, levels)
		}
	}
	l := &listener{t: t, b: b, conn: Dial(t, b.Addr)}
	all("at the start", "INFO", getLevels(t, l.conn))
	const server, group = "samsa.wire.server", "samsa.replica.group"
	heard := func(when string, lines []string, trace, debug, info bool) {
		t.Helper()
		got := fmt.Sprint(count(lines, "TRACE", server) > 0, count(lines, "DEBUG", server) > 0, count(lines, "INFO", group) > 0)
		if want := fmt.Sprint(trace, debug, info); got != want {
			t.Errorf("%s: requests, connections, groups told of: %s, want %s\n%s", when, got, want, strings.Join(lines, "\n"))
		}
	}
	act(t, b.Addr, "a")
	heard("at INFO", l.until(server+"=DEBUG"), false, false, true)
	act(t, b.Addr, "b")
	heard("server at DEBUG", l.until("samsa=TRACE", server), false, true, true)
	act(t, b.Addr, "c")
	heard("all at TRACE", l.until("root=WARN", "samsa"), true, true, true)
	all("at WARN", "WARN", getLevels(t, l.conn))
	act(t, b.Addr, "d")
	heard("all at WARN", l.until("root=INFO"), false, false, false)
	act(t, b.Addr, "e")
	heard("at INFO again", l.until("root=WARN"), false, false, true)

	before := b.Log()
	if code := setLevels(t, l.conn, "root=ERROR"); code != 0 {
		t.Errorf("error %d", code)
	}
	if code := setLevels(t, l.conn, "root"); code != 42 {
		t.Errorf("unset the root: error %d", code)
	}
	all("at ERROR", "ERROR", getLevels(t, l.conn))
	b.Stop()
	if after := strings.TrimPrefix(b.Log(), before); strings.Contains(after, "level=") {
		t.Errorf("at ERROR, not even the stop is told of, but: %s", after)
	}
	b = b.Again()
	all("after a restart", "INFO", getLevels(t, Dial(t, b.Addr)))
}
