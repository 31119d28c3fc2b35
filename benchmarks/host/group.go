// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const cgroups = "/sys/fs/cgroup"

// controllers of cgroup v1 that a Group uses.
var controllers = []string{"cpuacct", "cpuset", "freezer", "memory"}

// Group is the processes of one broker.
type Group struct {
	name   string
	cpus   string // a cpuset list; empty: any
	cgroup bool
	roots  []*exec.Cmd
}

// NewGroup makes an empty group whose processes run on cpus ("0", "0-1"; empty:
// any).
func NewGroup(name, cpus string) (*Group, error) {
	g := &Group{name: "bench_" + name, cpus: cpus, cgroup: true}
	for _, c := range controllers {
		if err := os.Mkdir(g.dir(c), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			g.cgroup = false
		}
	}
	if g.cgroup {
		g.cgroup = g.write("cpuset", "cpuset.mems", "0") == nil && g.pin(cpus) == nil
	}
	if !g.cgroup {
		g.remove()
	}
	return g, nil
}

func (g *Group) dir(controller string) string { return filepath.Join(cgroups, controller, g.name) }

func (g *Group) write(controller, file, text string) error {
	return os.WriteFile(filepath.Join(g.dir(controller), file), []byte(text), 0o644)
}

func (g *Group) read(controller, file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(g.dir(controller), file))
	return strings.TrimSpace(string(b)), err
}

func (g *Group) pin(cpus string) error {
	if cpus == "" {
		all, err := os.ReadFile(filepath.Join(cgroups, "cpuset", "cpuset.cpus"))
		if err != nil {
			return err
		}
		cpus = strings.TrimSpace(string(all))
	}
	return g.write("cpuset", "cpuset.cpus", cpus)
}

// How says how the group is measured.
func (g *Group) How() string {
	if g.cgroup {
		return "cgroup v1"
	}
	return "schedstat"
}

// Command makes a command that will run in the group.
func (g *Group) Command(name string, args ...string) *exec.Cmd {
	switch {
	case g.cgroup:
		var enter strings.Builder
		for _, c := range controllers {
			fmt.Fprintf(&enter, "echo $$ > %s/cgroup.procs; ", g.dir(c))
		}
		args = append([]string{"-c", enter.String() + `exec "$@"`, "sh", name}, args...)
		name = "sh"
	case g.cpus != "":
		args = append([]string{"-c", g.cpus, name}, args...)
		name = "taskset"
	}
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	g.roots = append(g.roots, cmd)
	return cmd
}

// pids of everything in the group.
func (g *Group) pids() []string {
	if g.cgroup {
		text, err := g.read("cpuacct", "cgroup.procs")
		if err != nil {
			return nil
		}
		return strings.Fields(text)
	}
	var out []string
	for _, c := range g.roots {
		if c.Process != nil {
			out = append(out, strconv.Itoa(c.Process.Pid))
		}
	}
	return out
}

// CPU is the processor time used so far.
func (g *Group) CPU() time.Duration {
	if g.cgroup {
		text, err := g.read("cpuacct", "cpuacct.usage")
		if n, err2 := strconv.ParseInt(text, 10, 64); err == nil && err2 == nil {
			return time.Duration(n)
		}
		return 0
	}
	var sum time.Duration
	for _, pid := range g.pids() {
		tasks, _ := filepath.Glob("/proc/" + pid + "/task/*/schedstat") // its pattern is a good one
		for _, task := range tasks {
			b, err := os.ReadFile(task)
			if err != nil {
				continue // the thread has just ended
			}
			if f := bytes.Fields(b); len(f) > 0 {
				n, _ := strconv.ParseInt(string(f[0]), 10, 64) // the kernel's own number
				sum += time.Duration(n)
			}
		}
	}
	return sum
}

// RSS is the resident memory of the group's processes, in bytes.
func (g *Group) RSS() int64 {
	var sum int64
	for _, pid := range g.pids() {
		b, err := os.ReadFile("/proc/" + pid + "/statm")
		if f := strings.Fields(string(b)); err == nil && len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64) // the kernel's own number
			sum += pages * int64(os.Getpagesize())
		}
	}
	return sum
}

// Freeze stops every process of the group, Thaw lets them go on.
func (g *Group) Freeze() error { return g.freeze("FROZEN", syscall.SIGSTOP) }

// Thaw ends Freeze.
func (g *Group) Thaw() error { return g.freeze("THAWED", syscall.SIGCONT) }

func (g *Group) freeze(state string, sig syscall.Signal) error {
	if g.cgroup {
		return g.write("freezer", "freezer.state", state)
	}
	for _, c := range g.roots {
		if c.Process != nil {
			if err := syscall.Kill(-c.Process.Pid, sig); err != nil {
				return fmt.Errorf("host: %s: %w", g.name, err)
			}
		}
	}
	return nil
}

// Limit bounds the memory of the group, page cache included, in bytes.
func (g *Group) Limit(n int64) error {
	if !g.cgroup {
		return fmt.Errorf("host: %s: no control group of memory", g.name)
	}
	return g.write("memory", "memory.limit_in_bytes", strconv.FormatInt(n, 10))
}

// End sends a signal to what was started in the group and waits for its end; what
// is still there after wait is killed, and End says so.
func (g *Group) End(sig syscall.Signal, wait time.Duration) error {
	var failed error
	for _, c := range g.roots {
		if c.Process == nil {
			continue
		}
		_ = c.Process.Signal(sig) // it may have ended by itself
		late := time.AfterFunc(wait, func() { _ = c.Process.Kill() })
		_ = c.Wait() // its status is that of a killed one
		if !late.Stop() {
			failed = fmt.Errorf("host: %s has not ended %v after %v", g.name, wait, sig)
		}
	}
	g.roots = nil
	return failed
}

// Close kills what runs in the group and removes it.
func (g *Group) Close() {
	_ = g.Thaw() // what is frozen cannot die
	for _, c := range g.roots {
		if c.Process != nil {
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // it may have ended by itself
			_ = c.Wait()
		}
	}
	g.roots = nil
	g.remove()
}

func (g *Group) remove() {
	for _, c := range controllers {
		for range 50 { // the kernel empties it a moment after the last process
			if err := os.Remove(g.dir(c)); err == nil || errors.Is(err, os.ErrNotExist) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}
