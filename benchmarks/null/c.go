// SPDX-License-Identifier: Apache-2.0

//go:build linux

package null

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

//go:embed csrc/null.c
var source string

// ErrNoCompiler says that this machine cannot build the null broker in C.
var ErrNoCompiler = errors.New("null: no C compiler (cc)")

// BuildC compiles the null broker in C into the file bin; it is started with a
// port and a folder.
func BuildC(bin string) error {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return ErrNoCompiler
	}
	args := []string{"-O2", "-Wall", "-Wextra", "-pthread", "-o", bin, "-x", "c", "-"}
	if runtime.GOARCH == "amd64" {
		args = append([]string{"-msse4.2"}, args...)
	}
	cmd := exec.Command(cc, args...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(source), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("null: cc: %w", err)
	}
	return nil
}
