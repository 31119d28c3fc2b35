// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/frame"
)

// exchange is a request and its response, each a frame without its length; nil
// stands for no response.
type exchange struct {
	header            frame.Header
	request, response []byte
	body              []byte // of the request; nil when its header cannot be read
}

// store writes exchanges into files.
type store struct {
	dir, software string
	most          int
}

// put writes one exchange into a file of its own, unless it is too large.
func (s *store) put(x exchange) error {
	if len(x.request)+len(x.response) > s.most {
		return nil
	}
	api := kmsg.NameForKey(x.header.Key)
	if api == "" {
		api = fmt.Sprintf("key%d", x.header.Key)
	}
	dir := filepath.Join(s.dir, strings.ToLower(api))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("v%d_%s", x.header.Version, fileName(string(x.header.ClientID)))
	text := s.text(api, x)
	for i := 1; ; i++ {
		path := filepath.Join(dir, name+".txt")
		if i > 1 {
			path = filepath.Join(dir, fmt.Sprintf("%s.%d.txt", name, i))
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Close())
	}
}

// text is the file: where it is from, the request, and the response.
func (s *store) text(api string, x exchange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, taken by cmd/wirecap.\n# %s v%d, asked by client %q.\n", s.software, api, x.header.Version, x.header.ClientID)
	b.WriteString("request\n")
	writeHex(&b, x.request)
	if x.response == nil {
		b.WriteString("no response\n")
		return b.String()
	}
	b.WriteString("response\n")
	writeHex(&b, x.response)
	return b.String()
}

const bytesPerLine = 48

func writeHex(b *strings.Builder, bytes []byte) {
	for len(bytes) > 0 {
		n := min(bytesPerLine, len(bytes))
		b.WriteString(hex.EncodeToString(bytes[:n]))
		b.WriteByte('\n')
		bytes = bytes[n:]
	}
}

// fileName is a client id as part of a file's name.
func fileName(id string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '_'
	}, id)
	if name == "" {
		return "nameless"
	}
	return name[:min(len(name), 100)]
}
