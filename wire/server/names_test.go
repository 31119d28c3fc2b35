// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/netip"
	"runtime"
)

type netipAddrPort = netip.AddrPort

func runtimeGosched() { runtime.Gosched() }
