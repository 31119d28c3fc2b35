// SPDX-License-Identifier: Apache-2.0

package looptest

import (
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(netpoll.Procs(1))
	os.Exit(m.Run())
}

// kernel is a backend that Open can make, reached over loopback.
func kernel(name string) Backend {
	return Backend{
		Name: name,
		Open: func(o netpoll.Options) (netpoll.Loop, error) {
			o.Backend = name
			l, _, err := netpoll.Open(o)
			return l, err
		},
		Listen: func(o netpoll.ListenOptions) (*netpoll.Listener, error) { return netpoll.Listen("127.0.0.1:0", o) },
		Dial: func(l *netpoll.Listener) (net.Conn, error) {
			return net.Dial("tcp", l.Addr().String())
		},
	}
}

// play runs the suite on a backend. Where this build or system does not have it,
// that is told in one line, with the reason.
func play(t *testing.T, name string) {
	l, refused, err := netpoll.Open(netpoll.Options{Backend: name})
	if err != nil {
		if len(refused) != 1 || refused[0].Backend != name || refused[0].Why == "" {
			t.Fatalf("refused without a reason: %v, %v", refused, err)
		}
		t.Log(refused[0])
		return
	}
	_ = l.Close()
	Run(t, kernel(name))
}

func TestPortable(t *testing.T) { play(t, "portable") }
func TestEpoll(t *testing.T)    { play(t, "epoll") }
func TestUring(t *testing.T)    { play(t, "uring") }

// TestFake plays the suite on the network in memory, once as it comes and once
// with everything it can do to the bytes.
func TestFake(t *testing.T) {
	for name, o := range map[string]netpoll.FakeOptions{
		"Plain": {Seed: 1},
		"Rough": {Seed: 2, Split: true, Reorder: true, Delay: 3 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var f *netpoll.Fake
			Run(t, Backend{
				Name:   "fake",
				Memory: true,
				Open: func(lo netpoll.Options) (netpoll.Loop, error) {
					o := o
					o.Options = lo
					f = netpoll.NewFake(o)
					return f, nil
				},
				Listen: func(netpoll.ListenOptions) (*netpoll.Listener, error) { return f.Listen(), nil },
				Dial:   func(l *netpoll.Listener) (net.Conn, error) { return f.Dial(l) },
			})
		})
	}
}
