// SPDX-License-Identifier: Apache-2.0

package server

import "bytes"

// minFrame is the smallest request: key, version, correlation id.
const minFrame = 8

// foreign names the protocol that the first bytes of a connection (four at
// least) belong to, "" when they may be Kafka. Read as a length each of these
// would be absurd or far above any limit; saying what it looks like spares
// somebody an hour.
func foreign(b []byte) string {
	b = b[:4]
	switch {
	case b[0] == 0x16 && b[1] == 3:
		return "a TLS handshake; this listener is plaintext"
	case b[0] == 0x80 && b[2] == 1 || b[0] == 0x15 && b[1] == 3:
		return "SSL; this listener is plaintext"
	case bytes.HasPrefix(b, []byte("SSH-")):
		return "SSH"
	case bytes.HasPrefix(b, []byte("PRI ")):
		return "HTTP/2"
	case bytes.HasPrefix(b, []byte("*1\r\n")), bytes.HasPrefix(b, []byte("PING")):
		return "Redis"
	}
	for _, verb := range [...]string{"GET ", "POST", "PUT ", "HEAD", "DELE", "OPTI", "CONN", "PATC", "TRAC"} {
		if string(b) == verb {
			return "HTTP"
		}
	}
	for _, word := range [...]string{"ruok", "stat", "srvr", "mntr", "conf", "cons", "crst", "dump", "envi", "srst", "wchs", "wchc", "wchp", "isro", "dirs", "gtmk", "stmk", "hash"} {
		if string(b) == word {
			return "a ZooKeeper four-letter word"
		}
	}
	return ""
}
