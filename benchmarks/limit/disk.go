// SPDX-License-Identifier: Apache-2.0

//go:build linux

package limit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	mib    = 1 << 20
	sector = 4096 // alignment of what goes past the page cache
)

// aligned is memory that may be written and read past the page cache.
func aligned(n int) []byte {
	b := make([]byte, n+sector)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (sector - 1)
	b = b[skip : skip+n]
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// scratch opens a file that has no name any more.
func (o Options) scratch(flags int) (*os.File, error) {
	name := filepath.Join(o.Dir, fmt.Sprintf("limit-%d", os.Getpid()))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC|flags, 0o644)
	if err != nil {
		return nil, err
	}
	return f, os.Remove(name)
}

func perSecond(bytes int64, took time.Duration) float64 { return float64(bytes) / mib / took.Seconds() }

func buffered(o Options) (map[string]float64, error) {
	f, err := o.scratch(0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf, at, began := aligned(mib), int64(0), time.Now()
	for at < o.Bytes && time.Since(began) < o.For {
		if _, err := f.WriteAt(buf, at); err != nil {
			return nil, err
		}
		at += mib
	}
	err = f.Sync()
	return map[string]float64{"buffered": perSecond(at, time.Since(began))}, err
}

func direct(o Options) (map[string]float64, error) {
	f, err := o.scratch(unix.O_DIRECT)
	if err != nil {
		return nil, fmt.Errorf("limit: past the page cache: %w", err)
	}
	defer f.Close()
	var next, done atomic.Int64
	errs := make([]error, 4)
	var all sync.WaitGroup
	began := time.Now()
	for i := range errs {
		all.Go(func() {
			buf := aligned(mib)
			for first := true; first || time.Since(began) < o.For; first = false {
				at := next.Add(mib) - mib
				if at >= o.Bytes {
					return
				}
				if _, errs[i] = f.WriteAt(buf, at); errs[i] != nil {
					return
				}
				done.Add(mib)
			}
		})
	}
	all.Wait()
	return map[string]float64{"direct": perSecond(done.Load(), time.Since(began))}, errors.Join(errs...)
}

// syncs appends 4 KiB and syncs, and does so over zeroes that are there already.
func syncs(o Options) (map[string]float64, error) {
	f, err := o.scratch(0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf, at := aligned(4096), int64(0)
	write := func() error {
		_, err := f.WriteAt(buf, at)
		at += int64(len(buf))
		return errors.Join(err, unix.Fdatasync(int(f.Fd())))
	}
	n, took, err := repeat(o.For, write)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{"append": float64(n) / took.Seconds()}
	const room = 64 << 20
	if _, err := f.WriteAt(make([]byte, room), 0); err != nil {
		return nil, err
	}
	at = 0
	if err := f.Sync(); err != nil {
		return nil, err
	}
	n, took, err = repeat(o.For, func() error {
		if at == room {
			at = 0
		}
		return write()
	})
	out["overwrite"] = float64(n) / took.Seconds()
	return out, err
}

// reads writes a file, lets the page cache forget it, and reads it.
func reads(o Options) (map[string]float64, error) {
	f, err := os.Create(filepath.Join(o.Dir, fmt.Sprintf("limit-%d", os.Getpid())))
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	buf := aligned(mib)
	size, began := int64(0), time.Now()
	for ; size < o.Bytes && (size == 0 || time.Since(began) < o.For); size += mib {
		if _, err := f.WriteAt(buf, size); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, way := range []struct {
		name  string
		flags int
	}{{"buffered", 0}, {"direct", unix.O_DIRECT}} {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return nil, err
		}
		in, err := os.OpenFile(f.Name(), os.O_RDONLY|way.flags, 0)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		for at := int64(0); at < size && err == nil; at += mib {
			_, err = in.ReadAt(buf, at)
		}
		out[way.name] = perSecond(size, time.Since(began))
		if err = errors.Join(err, in.Close()); err != nil {
			return nil, err
		}
	}
	return out, nil
}
