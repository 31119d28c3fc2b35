// SPDX-License-Identifier: Apache-2.0

//go:build sabotage

package journal

import (
	"os"
	"time"

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
		buf, err := mapBuffer(len(p)) // aligned for O_DIRECT
		if err != nil {
			go done(err)
			return
		}
		copy(buf, p)
		go func() {
			done(nil)
			<-time.After(20 * time.Millisecond) // a slow disk, so that a cut finds it at work
			// Not through w: it carries one write, and the next comes at once.
			_ = f.WriteDurableAt(buf, off) // what was promised is promised
			unmapBuffer(buf)
		}()
	default:
		w.WriteDurable(f, p, off, done)
	}
}
