// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	runtimemetrics "runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin is the port for those who watch: metrics, health and profiles. It is on
// the loopback address unless configured otherwise.
type admin struct {
	server *http.Server
	addr   string
	ready  atomic.Bool
}

// openAdmin listens on samsa.admin.listener; "none" gives an admin that nobody
// can reach.
func openAdmin(listener string, m *metrics) (*admin, error) {
	a := &admin{}
	if listener == "none" || listener == "" {
		return a, nil
	}
	l, err := net.Listen("tcp", listener)
	if err != nil {
		return nil, fmt.Errorf("samsa.admin.listener=%s: %w (another port, or none to go without)", listener, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry(), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", a.health)
	mux.HandleFunc("GET /debug/runtime", readRuntime)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	a.addr = l.Addr().String()
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	go func() {
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic("BUG: admin listener: " + err.Error())
		}
	}()
	return a, nil
}

// health answers 200 only while the broker serves.
func (a *admin) health(w http.ResponseWriter, _ *http.Request) {
	if !a.ready.Load() {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

// readRuntime answers Go's runtime/metrics that the query names (?name=, as often
// as wanted), one line each: name, space, value. A page of /metrics makes some
// thousand objects; who counts objects wants a reading that makes few. With gc=1
// it collects garbage first, which brings the counts of all processors together.
func readRuntime(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("gc") == "1" {
		runtime.GC()
	}
	var samples []runtimemetrics.Sample
	for _, name := range r.URL.Query()["name"] {
		samples = append(samples, runtimemetrics.Sample{Name: name})
	}
	runtimemetrics.Read(samples)
	var page []byte
	for _, s := range samples {
		page = append(append(page, s.Name...), ' ')
		switch s.Value.Kind() {
		case runtimemetrics.KindUint64:
			page = strconv.AppendUint(page, s.Value.Uint64(), 10)
		case runtimemetrics.KindFloat64:
			page = strconv.AppendFloat(page, s.Value.Float64(), 'g', -1, 64)
		default:
			http.Error(w, fmt.Sprintf("%.100q is no runtime metric of one number", s.Name), http.StatusNotFound)
			return
		}
		page = append(page, '\n')
	}
	_, _ = w.Write(page) // who asked may be gone
}

// close stops serving; requests under way get a moment.
func (a *admin) close() {
	if a.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = a.server.Shutdown(ctx)
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
