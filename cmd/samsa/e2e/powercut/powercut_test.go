// SPDX-License-Identifier: Apache-2.0

//go:build linux

package powercut

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }

// rounds is a count from the environment, a few by default.
func rounds(key string, few int) int {
	if n, err := strconv.Atoi(os.Getenv(key)); err == nil && n > 0 {
		return n
	}
	return few
}

// station is a broker on a disk whose power can be cut.
type station struct {
	t       *testing.T
	rng     *rand.Rand
	disk    *Disk
	unmount func() error
	broker  *e2e.Broker
	options e2e.Options
	direct  int // rounds that used O_DIRECT
}

// props are small files, so that a short run seals, recycles and checkpoints.
func powerOn(t *testing.T, seed uint64, props map[string]string, o e2e.Options) *station {
	s := &station{t: t, rng: rand.New(rand.NewPCG(seed, 2)), disk: NewDisk(8 << 30)}
	all := map[string]string{"samsa.journal.bytes": "4194304", "log.segment.bytes": "1048576"}
	for key, value := range props {
		all[key] = value
	}
	s.options = o
	s.options.Addr, s.options.Props = e2e.FreeAddr(t), all
	s.start()
	return s
}

func (s *station) start() {
	s.t.Helper()
	if err := s.tryStart(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *station) tryStart() (err error) {
	s.t.Helper()
	at := s.t.TempDir()
	unmount, err := Mount(s.disk, at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.unmount = unmount
	s.t.Cleanup(func() { _ = unmount() })
	s.options.Dir = at
	s.broker, err = e2e.Launch(s.t, s.options)
	return err
}

// cut takes the power at this moment, then starts the broker on what is left.
func (s *station) cut() {
	s.t.Helper()
	after := s.disk.Cut(s.rng)
	s.broker.Kill()
	if s.disk.SawDirect() {
		s.direct++
	}
	_ = s.unmount()
	s.disk = after
	s.start()
}

// run lets the load go on for a while, cuts, and asks the judge.
func (s *station) run(load *e2e.Load) error {
	s.t.Helper()
	before := load.Acked.Load()
	e2e.Eventually(s.t, 60*time.Second, func() error {
		if n := load.Acked.Load() - before; n < 100 {
			return fmt.Errorf("%d acknowledged since the power is back\n%s", n, s.broker.Log())
		}
		return nil
	})
	<-time.After(time.Duration(s.rng.IntN(1500)) * time.Millisecond)
	s.cut()
	return load.Check(true)
}

// cutsOfADisk is how many cuts one disk lives through: what must be there is
// read in full after each, so more of them would mostly read.
const cutsOfADisk = 10

// Power cuts under load: nothing acknowledged at acks 1 or all is lost, no
// consumer saw a record that is gone, and the clients ride it out.
func TestPowerCut(t *testing.T) {
	needFuse(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	n, direct := rounds("SAMSA_CUTS", 3), 0
	for left := n; left > 0; left -= cutsOfADisk {
		direct += liveThrough(t, seed+uint64(left), min(left, cutsOfADisk))
	}
	t.Logf("%d cuts, O_DIRECT in use in %d", n, direct)
	if direct*2 < n {
		t.Errorf("O_DIRECT was in use in %d of %d rounds only", direct, n)
	}
}

// liveThrough is one disk's life: so many cuts under load. It returns in how
// many the journal was written with O_DIRECT.
func liveThrough(t *testing.T, seed uint64, cuts int) (direct int) {
	t.Helper()
	s := powerOn(t, seed, nil, e2e.Options{})
	defer func() { s.broker.Kill(); _ = s.unmount() }()
	load := e2e.StartLoad(t, s.broker.Addr, e2e.LoadOptions{Producers: 2, Acks1: true, Group: true, Churn: true, Value: 300})
	for cut := range cuts {
		if err := s.run(load); err != nil {
			t.Fatalf("cut %d: %v\n%s", cut, err, s.broker.Log())
		}
	}
	load.Stop()
	if err := load.Check(true); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cuts: %s", cuts, load.Counts())
	return s.direct
}

// The rig proves itself: without the journal the same cuts lose acknowledged
// records.
func TestKafkaDurabilityLoses(t *testing.T) {
	needFuse(t)
	expectLoss(t, map[string]string{"samsa.durability": "kafka"}, e2e.Options{})
}

// The rig proves itself: builds that drop the DSYNC of the journal's writes,
// acknowledge before the write completed, or do not sync directories are
// caught. The soak runs all three, an ordinary run the first.
func TestSabotageIsCaught(t *testing.T) {
	needFuse(t)
	bin := e2e.Sabotaged(t)
	kinds := []string{"dsync"}
	if os.Getenv("SAMSA_SABOTAGE_ALL") != "" {
		kinds = []string{"dsync", "ack", "dirsync"}
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			expectLoss(t, nil, e2e.Options{Bin: bin, Env: []string{"SAMSA_SABOTAGE=" + kind}})
		})
	}
}

// expectLoss passes when a cut loses something within 20 rounds. A broker that
// refuses to start on what is left has noticed a loss, too.
func expectLoss(t *testing.T, props map[string]string, o e2e.Options) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for round := range 20 {
		if err := cutOnce(t, seed+uint64(round), props, o); err != nil {
			t.Logf("caught in round %d: %s", round, strings.SplitN(err.Error(), "\n", 2)[0])
			return
		}
	}
	t.Fatal("20 power cuts lost nothing: the rig proves nothing")
}

// cutOnce is one cut of a fresh disk under load.
func cutOnce(t *testing.T, seed uint64, props map[string]string, o e2e.Options) error {
	t.Helper()
	s := powerOn(t, seed, props, o)
	load := e2e.StartLoad(t, s.broker.Addr, e2e.LoadOptions{Producers: 1, Acks1: true, Churn: true, Value: 300})
	defer func() {
		load.Abandon()
		s.broker.Kill()
		_ = s.unmount()
	}()
	e2e.Eventually(t, 60*time.Second, func() error {
		if n := load.Acked.Load(); n < 200 {
			return fmt.Errorf("%d acknowledged", n)
		}
		return nil
	})
	<-time.After(time.Duration(s.rng.IntN(1000)) * time.Millisecond)
	after := s.disk.Cut(s.rng)
	s.broker.Kill()
	_ = s.unmount()
	load.Abandon()
	s.disk = after
	if err := s.tryStart(); err != nil {
		return err
	}
	return load.Check(true)
}
