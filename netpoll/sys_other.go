// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package netpoll

import "net"

// opSys is empty where the kernel reads no memory of an Op.
type opSys struct{}

func (op *Op) forget() {}

func (l *Listener) open(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	l.ln, l.addr = ln, addrPort(ln.Addr())
	return nil
}

func (l *Listener) interrupt() { _ = l.ln.Close() }

func (l *Listener) destroy() {}

func (l *Listener) netListener() (net.Listener, error) { return l.ln, nil }

// backends lists what Open tries, in order.
func backends() []backend { return nil }
