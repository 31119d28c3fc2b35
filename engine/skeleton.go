// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/samsa-broker/samsa/engine/vfs"
)

type Log struct{}

func Open(dir string, o Options) (*Log, error) { panic("BUG: not built yet") }

// Append is one append, owned by the caller from before Stage until after Write.
type Append struct {
	Batches []byte // whole v2 batches, already through batch.Check for clients; patched in place (offset, epoch)
	Origin  Origin
	Epoch   Epoch // leader epoch stamped into the batches; ignored for Replica

	// Results, set by Stage; Err also by Write.
	Base, Last   Offset
	AppendTimeMs int64 // -1 unless the topic stamps log append time
	LogStart     Offset
	Duplicate    bool // the batch stands, or is staged, already: Base and Last are the original's
	Err          error
}

func (l *Log) Stage(a *Append) error     { panic("BUG: not built yet") }
func (l *Log) Staged() []*Append         { panic("BUG: not built yet") }
func (l *Log) Write() (n int, err error) { panic("BUG: not built yet") }

func (l *Log) Roll() error                   { panic("BUG: not built yet") }
func (l *Log) TruncateTo(end Offset) error   { panic("BUG: not built yet") }
func (l *Log) TrimTo(start Offset) error     { panic("BUG: not built yet") }
func (l *Log) Reset(start Offset) error      { panic("BUG: not built yet") } // empty the log and begin at start
func (l *Log) Sync() error                   { panic("BUG: not built yet") } // Flush, Run and FlushDone in one
func (l *Log) Flush() *Flush                 { panic("BUG: not built yet") }
func (l *Log) FlushDone(f *Flush, err error) { panic("BUG: not built yet") }

type Flush struct{}

func (f *Flush) Run() error        { panic("BUG: not built yet") }
func (f *Flush) End() Offset       { panic("BUG: not built yet") } // the synced end once FlushDone took it
func (f *Flush) Producers() []byte { panic("BUG: not built yet") } // producer state at End, for Options.Producers

func (l *Log) Expire(now time.Time, hw Offset) (removed int, err error) { panic("BUG: not built yet") }
func (l *Log) Reap(now time.Time) error                                 { panic("BUG: not built yet") }
func (l *Log) BeginEpoch(e Epoch) error                                 { panic("BUG: not built yet") } // durable before it returns
func (l *Log) AssignEpoch(e Epoch)                                      { panic("BUG: not built yet") } // made durable by the next Flush
func (l *Log) SetConfig(c *Config)                                      { panic("BUG: not built yet") }
func (l *Log) Close(clean bool) error                                   { panic("BUG: not built yet") }

// any goroutine:

func (l *Log) EpochEnd(e Epoch) (Epoch, Offset) { panic("BUG: not built yet") }
func (l *Log) LastEpoch() Epoch                 { panic("BUG: not built yet") }
func (l *Log) View() *View                      { panic("BUG: not built yet") }
func (l *Log) Start() Offset                    { panic("BUG: not built yet") }
func (l *Log) End() Offset                      { panic("BUG: not built yet") }
func (l *Log) SyncedEnd() Offset                { panic("BUG: not built yet") }
func (l *Log) LastStable(hw Offset) Offset      { panic("BUG: not built yet") }
func (l *Log) Size() int64                      { panic("BUG: not built yet") }
func (l *Log) Dir() string                      { panic("BUG: not built yet") }
func (l *Log) Config() *Config                  { panic("BUG: not built yet") }
func (l *Log) Err() error                       { panic("BUG: not built yet") } // why the log is fenced
func (l *Log) Foreign() bool                    { panic("BUG: not built yet") } // the active index ended in zero entries at Open: another broker had it
func (l *Log) CloseIdle()                       { panic("BUG: not built yet") } // closes descriptors not used since the last call

type View struct{}

func (v *View) Start() Offset { panic("BUG: not built yet") }
func (v *View) End() Offset   { panic("BUG: not built yet") }

func (v *View) Read(dst []Span, from, limit Offset, maxBytes int, minOne bool) ([]Span, error) {
	panic("BUG: not built yet")
}

// OffsetForTime finds the first record whose timestamp is at least ts; -1, -1 if there is none.
func (v *View) OffsetForTime(ts int64) (at Offset, timestamp int64, epoch Epoch, err error) {
	panic("BUG: not built yet")
}

// MaxTimestamp finds the record with the largest timestamp.
func (v *View) MaxTimestamp() (at Offset, timestamp int64, epoch Epoch, err error) {
	panic("BUG: not built yet")
}

// AbortedTxn is one aborted transaction that a reader of committed records skips.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset Offset
}

func (v *View) Aborted(from, to Offset, dst []AbortedTxn) ([]AbortedTxn, error) {
	panic("BUG: not built yet")
}

type Span struct{}

func (s *Span) File() vfs.File { panic("BUG: not built yet") }
func (s *Span) Off() int64     { panic("BUG: not built yet") }
func (s *Span) Len() int       { panic("BUG: not built yet") }
func (s *Span) Trim(n int)     { panic("BUG: not built yet") }
func (s *Span) Release()       { panic("BUG: not built yet") }

// Descriptors limits how many segment files all logs that share it keep open.
type Descriptors struct{}

func NewDescriptors(limit int) *Descriptors { panic("BUG: not built yet") }
