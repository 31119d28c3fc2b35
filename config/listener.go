// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Listener is an address of the broker.
type Listener struct {
	Name     string // in upper case
	Host     string // empty: every address, or for advertised ones this host's name
	Port     int    // 0 lets the system choose
	Protocol string // PLAINTEXT
}

// String is the form that server.properties has.
func (l Listener) String() string {
	return l.Name + "://" + net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
}

// HostPort is the address to listen on or to connect to.
func (l Listener) HostPort() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

var listenerPattern = regexp.MustCompile(`^([A-Za-z0-9_-]+)://(?:\[([0-9A-Fa-f:.%A-Za-z]*)\]|([^:/\[\]\s]*)):([0-9]+)$`)

// parseListeners reads a list of NAME://host:port. protocols maps names.
func (s *settling) parseListeners(key string, protocols map[string]string) []Listener {
	value := s.b.text(key)
	var list []Listener
	for _, item := range items(value) {
		m := listenerPattern.FindStringSubmatch(item)
		if m == nil {
			s.fault(key, value, "want NAME://host:port, separated by commas")
			return nil
		}
		port, err := strconv.ParseUint(m[4], 10, 16)
		if err != nil {
			s.fault(key, value, "want a port from 0 to 65535")
			return nil
		}
		l := Listener{Name: strings.ToUpper(m[1]), Host: m[2] + m[3], Port: int(port)}
		protocol, known := protocols[l.Name]
		if !known {
			s.fault(key, value, "listener "+l.Name+" has no security protocol in listener.security.protocol.map")
			return nil
		}
		if protocol != "PLAINTEXT" {
			s.fault(key, value, "listener "+l.Name+" means "+protocol+", and only PLAINTEXT is supported yet")
			return nil
		}
		l.Protocol = protocol
		list = append(list, l)
	}
	if len(list) == 0 {
		s.fault(key, value, "want at least one listener")
	}
	return list
}

// parseProtocols reads listener.security.protocol.map.
func (s *settling) parseProtocols() map[string]string {
	const key = "listener.security.protocol.map"
	m := map[string]string{}
	for _, item := range items(s.b.text(key)) {
		name, protocol, ok := strings.Cut(item, ":")
		name, protocol = strings.ToUpper(trim(name)), strings.ToUpper(trim(protocol))
		switch protocol {
		case "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL":
		default:
			ok = false
		}
		if !ok || name == "" {
			s.fault(key, s.b.text(key), "want NAME:PROTOCOL, separated by commas; protocols are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL")
			return m
		}
		m[name] = protocol
	}
	return m
}

// listeners settles where to listen and what to tell clients, the keys from
// before Kafka 3.0 included.
func (s *settling) listeners() {
	b := s.b
	protocols := s.parseProtocols()
	if _, ok := b.set["listeners"]; ok {
		b.Listeners = s.parseListeners("listeners", protocols)
		s.overpower("listeners", "port", "host.name")
	} else {
		b.Listeners = []Listener{{Name: "PLAINTEXT", Host: b.text("host.name"), Port: int(b.integerOr("port", 9092)), Protocol: "PLAINTEXT"}}
	}
	_, host := b.set["advertised.host.name"]
	_, port := b.set["advertised.port"]
	_, full := b.set["listeners"]
	switch {
	case b.text("advertised.listeners") != "":
		b.Advertised = s.parseListeners("advertised.listeners", protocols)
		s.overpower("advertised.listeners", "advertised.host.name", "advertised.port")
	case (host || port) && !full:
		b.Advertised = []Listener{b.Listeners[0]}
		if host {
			b.Advertised[0].Host = b.text("advertised.host.name")
		}
		b.Advertised[0].Port = int(b.integerOr("advertised.port", int64(b.Listeners[0].Port)))
	default:
		b.Advertised = append([]Listener(nil), b.Listeners...)
		s.overpower("listeners", "advertised.host.name", "advertised.port")
	}
	s.checkListeners()
	s.interBroker()
}

// checkListeners compares the listeners with one another.
func (s *settling) checkListeners() {
	b := s.b
	known, ports := map[string]bool{}, map[int][]Listener{}
	for _, l := range b.Listeners {
		if known[l.Name] {
			s.fault("listeners", b.text("listeners"), "want each listener name once")
		}
		known[l.Name] = true
		if l.Port != 0 {
			ports[l.Port] = append(ports[l.Port], l)
		}
	}
	for _, l := range b.Listeners {
		if same := ports[l.Port]; len(same) > 1 && !bothFamilies(same) {
			s.fault("listeners", b.text("listeners"), "want each port once, or once for IPv4 and once for IPv6")
			break
		}
	}
	told := map[string]bool{}
	for _, l := range b.Advertised {
		switch {
		case told[l.Name]:
			s.fault("advertised.listeners", b.text("advertised.listeners"), "want each listener name once")
		case !known[l.Name]:
			s.fault("advertised.listeners", b.text("advertised.listeners"), "want only names that listeners has")
		case l.Host == "0.0.0.0":
			s.fault("advertised.listeners", l.String(), "want an address that clients can reach; set advertised.listeners where listeners has 0.0.0.0")
		}
		told[l.Name] = true
	}
}

// bothFamilies allows one port twice for an IPv4 and an IPv6 address.
func bothFamilies(same []Listener) bool {
	if len(same) != 2 {
		return false
	}
	one, err1 := netip.ParseAddr(same[0].Host)
	two, err2 := netip.ParseAddr(same[1].Host)
	return err1 == nil && err2 == nil && one.Is4() != two.Is4()
}

// interBroker settles which listener other brokers use.
func (s *settling) interBroker() {
	b := s.b
	const key = "inter.broker.listener.name"
	b.InterBrokerListener = strings.ToUpper(b.text(key))
	if b.InterBrokerListener == "" {
		b.InterBrokerListener = "PLAINTEXT"
		for _, l := range b.Advertised {
			if l.Name == b.InterBrokerListener {
				return
			}
		}
		if len(b.Advertised) > 0 { // Kafka would insist on a PLAINTEXT one
			b.InterBrokerListener = b.Advertised[0].Name
		}
		return
	}
	for _, l := range b.Advertised {
		if l.Name == b.InterBrokerListener {
			return
		}
	}
	s.fault(key, b.text(key), "want a name that advertised.listeners has")
}
