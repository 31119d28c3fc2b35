// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/server"
)

// apiKeys is above every API key there is.
const apiKeys = 128

// metrics are the broker's counters. What the hot path touches are plain
// atomics by API key; names, labels and sums are made when somebody asks.
//
// Names are those that the JMX exporter's usual rules give to Kafka's MBeans,
// so that dashboards go on working; what Kafka does not have begins with samsa_.
type metrics struct {
	requests [apiKeys]atomic.Int64
	nanos    [apiKeys]atomic.Int64 // from start to reply
	queued   [apiKeys]atomic.Int64 // nanoseconds in line
	bytesIn  [apiKeys]atomic.Int64
	bytesOut [apiKeys]atomic.Int64

	opened      atomic.Int64
	closed      atomic.Int64
	refused     atomic.Int64
	waiting     atomic.Int64
	coldBytes   atomic.Int64
	appends     atomic.Int64
	appendBytes atomic.Int64
	turns       atomic.Int64
	failures    atomic.Int64
	expired     atomic.Int64
	recovered   atomic.Int64 // bytes read by recovery, in all
	recovery    recovery

	set atomic.Pointer[replica.Set]
}

// recovery is what a start after anything but a clean stop had to read.
type recovery struct {
	logs      atomic.Int64
	segments  atomic.Int64 // bytes read from them
	journal   atomic.Int64 // bytes read from it
	searched  atomic.Int64 // bytes read behind its last group, for a later one
	unflushed atomic.Int64 // bytes of journal behind the last checkpoint, and of segments above S where they had to be checked
}

// served counts one request; it is called on the loops and allocates nothing.
func (m *metrics) served(s server.Served) {
	if s.Key < 0 || s.Key >= apiKeys {
		return
	}
	m.requests[s.Key].Add(1)
	m.nanos[s.Key].Add(int64(s.Took))
	m.queued[s.Key].Add(int64(s.Queued))
	m.bytesIn[s.Key].Add(int64(s.InBytes))
	m.bytesOut[s.Key].Add(int64(s.OutBytes))
}

// registry gathers the metrics with Go's own.
func (m *metrics) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(m, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)))
	return r
}

// Describe implements prometheus.Collector: what is collected varies with the
// partitions, so nothing is promised.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	g := gatherer{out}
	for key := range int16(apiKeys) {
		n := m.requests[key].Load()
		if n == 0 {
			continue
		}
		name := requestName(key)
		g.counter("kafka_network_requestmetrics_requests_total", float64(n), "request", name)
		g.counter("kafka_network_requestmetrics_totaltimems_sum", float64(m.nanos[key].Load())/1e6, "request", name)
		g.counter("kafka_network_requestmetrics_requestqueuetimems_sum", float64(m.queued[key].Load())/1e6, "request", name)
		g.counter("kafka_network_requestmetrics_requestbytes_sum", float64(m.bytesIn[key].Load()), "request", name)
		g.counter("kafka_network_requestmetrics_responsebytes_sum", float64(m.bytesOut[key].Load()), "request", name)
	}
	const produce, fetch = 0, 1
	g.counter("kafka_server_brokertopicmetrics_totalproducerequests_total", float64(m.requests[produce].Load()))
	g.counter("kafka_server_brokertopicmetrics_totalfetchrequests_total", float64(m.requests[fetch].Load()))
	g.counter("kafka_server_brokertopicmetrics_bytesin_total", float64(m.appendBytes.Load()))
	g.counter("kafka_server_brokertopicmetrics_bytesout_total", float64(m.bytesOut[fetch].Load()))
	g.gauge("kafka_server_socket_server_metrics_connection_count", float64(m.opened.Load()-m.closed.Load()))
	g.counter("kafka_server_socket_server_metrics_connection_creation_total", float64(m.opened.Load()))
	g.counter("kafka_server_socket_server_metrics_connection_close_total", float64(m.closed.Load()))
	g.counter("samsa_connections_refused_total", float64(m.refused.Load()))
	g.gauge("samsa_frames_waiting_for_memory", float64(m.waiting.Load()))
	g.counter("samsa_cold_read_bytes_total", float64(m.coldBytes.Load()))
	g.counter("samsa_appends_total", float64(m.appends.Load()))
	g.counter("samsa_append_writes_total", float64(m.turns.Load()))
	g.counter("samsa_append_failures_total", float64(m.failures.Load()))
	g.counter("samsa_retention_segments_total", float64(m.expired.Load()))
	g.gauge("samsa_recovery_read_bytes", float64(m.recovered.Load()))
	g.gauge("kafka_controller_kafkacontroller_activecontrollercount", 1)
	m.partitions(g)
}

// partitions adds what each replica says of its log.
func (m *metrics) partitions(g gatherer) {
	set := m.set.Load()
	if set == nil {
		return
	}
	all := set.Partitions()
	g.gauge("kafka_server_replicamanager_partitioncount", float64(len(all)))
	g.gauge("kafka_server_replicamanager_leadercount", float64(len(all)))
	g.gauge("kafka_server_replicamanager_underreplicatedpartitions", 0)
	for _, p := range all {
		id := p.ID()
		labels := []string{"topic", id.Topic, "partition", itoa(id.Index)}
		g.gauge("kafka_log_log_logstartoffset", float64(p.LogStart()), labels...)
		g.gauge("kafka_log_log_logendoffset", float64(p.LogEnd()), labels...)
		g.gauge("kafka_log_log_size", float64(p.Size()), labels...)
		g.gauge("kafka_cluster_partition_highwatermark", float64(p.HighWatermark()), labels...)
	}
}

// gatherer turns values into Prometheus metrics.
type gatherer struct{ out chan<- prometheus.Metric }

func (g gatherer) counter(name string, v float64, labels ...string) {
	g.add(prometheus.CounterValue, name, v, labels)
}

func (g gatherer) gauge(name string, v float64, labels ...string) {
	g.add(prometheus.GaugeValue, name, v, labels)
}

// add takes labels as name, value, name, value.
func (g gatherer) add(kind prometheus.ValueType, name string, v float64, labels []string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	g.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help(name), names, nil), kind, v, values...)
}

// help says where a metric's meaning is written.
func help(name string) string {
	if strings.HasPrefix(name, "samsa_") {
		return "Samsa's own: " + strings.ReplaceAll(strings.TrimPrefix(name, "samsa_"), "_", " ")
	}
	return "As Kafka's MBean of this name"
}

// requestName is Kafka's name of an API key.
func requestName(key int16) string {
	if name := kmsg.NameForKey(key); name != "" {
		return name
	}
	return "Unknown"
}
