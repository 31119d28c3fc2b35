// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The flooder is a process of its own, this test binary begun once more, so that
// it is not what limits a flood: one thread, raw sockets that never block, many
// connects under way, and a source address for every few ports.

// flooderEnv makes the test binary a flooder.
const flooderEnv = "SAMSA_HOSTILE_FLOODER"

// order is what a flooder shall do; it reads it from its input.
type order struct {
	Addr   string        // of the broker; empty: a listener of its own that accepts and closes
	Rate   int           // connections a second
	For    time.Duration // the whole flood
	Sends  [][]byte      // what the connections send, in turn; an empty one sends nothing
	HungUp bool          // each waits until the peer closes; else it is reset at once
	Burn   int           // instead of all that, keep so many processors busy
}

// tally is what a flooder did; it writes it to its output.
type tally struct {
	Made     int // connections that were established
	Failed   int // that were not, within flooderPatience
	Answered int // that were sent a byte although they shall be hung up on
	Took     time.Duration
	CPU      time.Duration // of the flooder's process
}

const (
	// flooderPatience is how long a connection may take.
	flooderPatience = 5 * time.Second
	// flooderAddrs is how many source addresses there are, each with the ports of
	// the system's range: at 10,000 a second one would last for three seconds.
	flooderAddrs = 200
	// flooderOpen is how many connections may be under way at one time.
	flooderOpen = 8192
)

// beFlooder carries out an order and ends the process where it is a flooder.
func beFlooder() {
	if os.Getenv(flooderEnv) == "" {
		return
	}
	var o order
	err := json.NewDecoder(os.Stdin).Decode(&o)
	if err == nil {
		var done tally
		if done, err = o.carryOut(); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(done)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "flooder:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// flood runs an order in a process of its own and returns when that has ended.
func flood(o order) (done tally, err error) {
	self, err := os.Executable()
	if err != nil {
		return tally{}, err
	}
	in, err := json.Marshal(o)
	if err != nil {
		return tally{}, err
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), flooderEnv+"=1"), os.Stderr
	to, err := cmd.StdinPipe()
	if err != nil {
		return tally{}, err
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		return tally{}, err
	}
	if err := cmd.Start(); err != nil {
		return tally{}, err
	}
	_, err = to.Write(in)
	err = errors.Join(err, to.Close(), json.NewDecoder(from).Decode(&done))
	return done, errors.Join(err, cmd.Wait())
}

// flooder carries out one order.
type flooder struct {
	order
	to      unix.SockaddrInet4
	tally   tally
	pending []attempt // under way, the oldest first
}

// attempt is one connection.
type attempt struct {
	fd    int
	send  []byte
	begun time.Time
	made  bool
}

func (o order) carryOut() (tally, error) {
	runtime.LockOSThread()
	if o.Burn > 0 {
		o.burn()
		return tally{}, nil
	}
	if o.Addr == "" {
		ln, err := acceptAndClose()
		if err != nil {
			return tally{}, err
		}
		o.Addr = ln
	}
	at, err := netip.ParseAddrPort(o.Addr)
	if err != nil {
		return tally{}, err
	}
	f := &flooder{order: o, to: unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}}
	if err := f.run(); err != nil {
		return tally{}, err
	}
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return tally{}, err
	}
	f.tally.CPU = time.Duration(used.Utime.Nano() + used.Stime.Nano())
	return f.tally, nil
}

// burn computes nothing.
func (o order) burn() {
	began := time.Now()
	var all sync.WaitGroup
	for range o.Burn {
		all.Go(func() {
			for time.Since(began) < o.For {
			}
		})
	}
	all.Wait()
}

// run keeps to the pace: what is late is made up for.
func (f *flooder) run() error {
	began := time.Now()
	for i := 0; ; {
		since := time.Since(began)
		due := int(since * time.Duration(f.Rate) / time.Second)
		if since >= f.For {
			due = 0
		}
		for n := 0; i < due && n < 64 && len(f.pending) < flooderOpen; n++ {
			if err := f.open(i); err != nil {
				return err
			}
			i++
		}
		f.serve()
		switch {
		case since >= f.For && len(f.pending) == 0:
			f.tally.Took = min(time.Since(began), max(f.For, since))
			return nil
		case i >= due:
			pause := unix.NsecToTimespec(int64(200 * time.Microsecond))
			_ = unix.Nanosleep(&pause, nil)
		}
	}
}

// open begins the i-th connection.
func (f *flooder) open(i int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	from := unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(1 + i%flooderAddrs)}}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}), // closing sends an RST
		unix.Bind(fd, &from))
	if err == nil {
		err = unix.Connect(fd, &f.to)
	}
	if err != nil && err != unix.EINPROGRESS {
		return errors.Join(fmt.Errorf("connect: %w", err), unix.Close(fd))
	}
	a := attempt{fd: fd, send: f.Sends[i%len(f.Sends)], begun: time.Now()}
	if !f.ends(&a) {
		f.pending = append(f.pending, a)
	}
	return nil
}

// serve takes every connection under way a step further.
func (f *flooder) serve() {
	kept := f.pending[:0]
	for _, a := range f.pending {
		if !f.ends(&a) {
			kept = append(kept, a)
		}
	}
	f.pending = kept
}

// ends takes a connection a step further; true: it is over and closed.
func (f *flooder) ends(a *attempt) bool {
	if !a.made {
		_, err := unix.Getpeername(a.fd)
		if err != nil && time.Since(a.begun) < flooderPatience {
			return false
		}
		if err != nil {
			f.tally.Failed++
			_ = unix.Close(a.fd)
			return true
		}
		a.made = true
		f.tally.Made++
		if len(a.send) > 0 {
			_ = unix.Sendto(a.fd, a.send, unix.MSG_NOSIGNAL, nil) // as much as it takes
		}
	}
	if f.HungUp {
		n, err := unix.Read(a.fd, make([]byte, 1))
		switch {
		case err == unix.EAGAIN && time.Since(a.begun) < flooderPatience:
			return false
		case err == unix.EAGAIN:
			f.tally.Failed++
		case n > 0:
			f.tally.Answered++
		}
	}
	_ = unix.Close(a.fd)
	return true
}

// acceptAndClose is a listener that does the least a listener can.
func acceptAndClose() (addr string, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	err = errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, backlog))
	if err != nil {
		return "", err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return "", err
	}
	go func() {
		runtime.LockOSThread()
		for {
			if c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC); err == nil {
				_ = unix.Close(c)
			}
		}
	}()
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(name.(*unix.SockaddrInet4).Port)), nil
}
