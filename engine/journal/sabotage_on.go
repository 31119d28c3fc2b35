// SPDX-License-Identifier: Apache-2.0

//go:build sabotage

package journal

import (
	"os"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// Sabotaged tells that this build can be told to break its promises, so that
// the power-cut rig can prove that it would notice. SAMSA_SABOTAGE says which:
//
//	dsync    groups are written without RWF_DSYNC
//	ack      a group counts as written before its write is begun
//	dirsync  package dir does not sync directories
const Sabotaged = true

func writeDurable(w Writer, f vfs.File, p []byte, off int64, done func(error)) {
	switch os.Getenv("SAMSA_SABOTAGE") {
	case "dsync":
		go func() {
			_, err := f.WriteAt(p, off)
			done(err)
		}()
	case "ack":
		early := append([]byte(nil), p...)
		buf, err := mapBuffer(len(early)) // aligned; this build may leak
		if err != nil {
			go done(err)
			return
		}
		copy(buf, early)
		go func() {
			done(nil)
			w.WriteDurable(f, buf, off, func(error) { unmapBuffer(buf) })
		}()
	default:
		w.WriteDurable(f, p, off, done)
	}
}
