// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/samsa-broker/samsa/controller/meta"
)

type brokerNode struct {
	Version   int               `json:"version"`
	Host      *string           `json:"host"`
	Port      int32             `json:"port"`
	JMXPort   int32             `json:"jmx_port"` // old tools require it
	Timestamp string            `json:"timestamp"`
	Endpoints []string          `json:"endpoints"`
	Protocols map[string]string `json:"listener_security_protocol_map"`
	Rack      string            `json:"rack,omitempty"`
	Features  map[string]any    `json:"features"`
}

// EncodeBroker makes the content of PathBroker, version 5. host and port are
// those of the first endpoint that speaks plain text: clients before Kafka 0.9
// know nothing else.
func EncodeBroker(b meta.Broker, now time.Time) []byte {
	n := brokerNode{Version: 5, Port: -1, JMXPort: -1, Timestamp: strconv.FormatInt(now.UnixMilli(), 10),
		Endpoints: []string{}, Protocols: map[string]string{}, Rack: b.Rack, Features: map[string]any{}}
	for _, e := range b.Endpoints {
		n.Endpoints = append(n.Endpoints, e.Listener+"://"+net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
		n.Protocols[e.Listener] = e.Protocol
		if n.Host == nil && e.Protocol == "PLAINTEXT" {
			n.Host, n.Port = &e.Host, e.Port
		}
	}
	return encode(n)
}

// DecodeBroker reads the content of PathBroker, versions 1 to 5.
func DecodeBroker(id meta.BrokerID, data []byte) (meta.Broker, error) {
	var n brokerNode
	if err := decode("broker", data, &n); err != nil {
		return meta.Broker{}, err
	}
	b := meta.Broker{ID: id, Rack: n.Rack}
	if len(n.Endpoints) == 0 && n.Host != nil { // version 1
		address := net.JoinHostPort(*n.Host, strconv.Itoa(int(n.Port)))
		if host, _, err := net.SplitHostPort(address); err != nil || host != *n.Host || n.Port < 0 || n.Port > 65535 {
			return meta.Broker{}, fmt.Errorf("%w: broker: address %q", ErrZnode, address)
		}
		b.Endpoints = []meta.Endpoint{{Listener: "PLAINTEXT", Host: *n.Host, Port: n.Port, Protocol: "PLAINTEXT"}}
	}
	for _, text := range n.Endpoints {
		listener, address, ok := strings.Cut(text, "://")
		if !ok || listener == "" {
			return meta.Broker{}, fmt.Errorf("%w: broker: endpoint %q", ErrZnode, text)
		}
		host, portText, err := net.SplitHostPort(address)
		if err != nil {
			return meta.Broker{}, fmt.Errorf("%w: broker: endpoint %q: %w", ErrZnode, text, err)
		}
		port, err := strconv.ParseUint(portText, 10, 16)
		if err != nil {
			return meta.Broker{}, fmt.Errorf("%w: broker: endpoint %q: %w", ErrZnode, text, err)
		}
		e := meta.Endpoint{Listener: listener, Host: host, Port: int32(port)}
		e.Protocol = n.Protocols[e.Listener]
		if e.Protocol == "" {
			e.Protocol = e.Listener // before version 4 a listener was named for its protocol
		}
		b.Endpoints = append(b.Endpoints, e)
	}
	return b, nil
}
