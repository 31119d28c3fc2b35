// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/journal"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// What opening or using a directory may answer, with operands wrapped around.
var (
	// ErrLocked means that another process holds the directory; the text names it.
	ErrLocked = errors.New("dir: directory is in use")
	// ErrMeta means that meta.properties belongs to another broker or cluster,
	// or cannot be read.
	ErrMeta = errors.New("dir: meta.properties does not fit")
	// ErrStore means that the directory was last used with another metadata store.
	ErrStore = errors.New("dir: directory belongs to another metadata store")
	// ErrOldStore means that the metadata store is an older copy of the one that
	// the directory was last used with: it does not know what was made since.
	ErrOldStore = errors.New("dir: metadata store is an older copy")
	// ErrDamaged means that acknowledged records cannot be brought back; the
	// text names logs and offsets. Recover with acceptLoss goes on without them.
	ErrDamaged = errors.New("dir: journal is damaged")
	// ErrFenced means that the disk failed: the directory takes nothing more
	// until it is opened again.
	ErrFenced = errors.New("dir: directory is fenced after a disk error")
	// ErrExists means that a log of that topic and partition stands already.
	ErrExists = errors.New("dir: log exists")
	// ErrRemoved means that the log was removed.
	ErrRemoved = errors.New("dir: log was removed")
	// ErrClosed means that the directory was closed, or not started.
	ErrClosed = errors.New("dir: directory is not open for that")
)

// Durability says when a record counts as safe.
type Durability uint8

const (
	// Journal: when the journal or a synced segment holds it on the device.
	Journal Durability = iota
	// Kafka: when it is in the page cache; flush.messages and flush.ms are
	// honoured.
	Kafka
)

// Options says how to open a directory.
type Options struct {
	FS           vfs.FS
	Path         string // must exist
	BrokerID     int32  // -1: take what meta.properties says
	ClusterID    string // empty: likewise
	Durability   Durability
	Writer       journal.Writer // nil: the directory's own goroutine writes
	JournalBytes int64          // of each of the four files; 0: min(128 MiB, 1/80 of the file system)
	BudgetBytes  int64          // for Reserve; 0: min(16 MiB, a quarter of JournalBytes)
	CheckpointMs int64          // longest time with bytes that only the journal covers; 0: 60 s
	Now          func() time.Time
	StoreID      [16]byte // of the metadata store; zero: none, not compared
	// StoreVersion is the version of what the store holds durably: it grows with
	// every change, from 1. For any goroutine. nil: not known, not compared.
	StoreVersion     func() int64
	ProducerExpiryMs func() int64 // producer.id.expiration.ms as it is now; nil: one day
	Descriptors      *engine.Descriptors
	Log              *engine.Events
	Events           *Events
	// KeepBytes is how much memory may hold of a journal from Open, which reads
	// it, to Replay; what is beyond is read again. 0: all four files.
	KeepBytes int64
}

const (
	journalBytesMax     = 128 << 20
	journalBytesMin     = 64 << 10
	journalShare        = 80 // of the file system, for one file
	budgetMax           = 16 << 20
	internalShare       = 8 // of the budget, beside it
	checkpointMsDefault = 60_000
	highWatermarkMs     = 5_000
	deleteDelayMs       = 60_000 // of what an earlier run left
)

// journalBytes is the size of one journal file, a multiple of a block.
func (o *Options) journalBytes() (int64, error) {
	n := o.JournalBytes
	if n == 0 {
		_, total, err := o.FS.Usage(o.Path)
		if err != nil {
			return 0, err
		}
		n = min(journalBytesMax, total/journalShare)
	}
	return max(journalBytesMin, n/journal.Block*journal.Block), nil
}

// Opening is what Open found.
type Opening struct {
	Clean   bool // the last stop was clean, by whichever broker
	Foreign bool // the clean-shutdown mark is another broker's
	Logs    int
}

// Started is what Start did.
type Started struct {
	Groups, Entries int   // of the journal that was replayed
	Bytes           int64 // of its groups as they stand: what was not in synced segments, and the bytes that say so
	BytesRead       int64 // from the journal: once, but for what is beyond Options.KeepBytes
	BytesSearched   int64 // behind the last group, looking for damage, likewise
	BytesRecalled   int64 // from segments: headers of what was synced in place
	Window          int64 // how far one such search goes
	Appended, Kept  int   // batches
	Skipped         int   // covered by segments, or overtaken
	Truncated       int   // logs cut before a batch was appended
	Torn            bool  // the last group was not whole
	JournalBytes    int64 // of each file of the new journal; 0: none
	Direct          bool  // the journal is written past the page cache
	WhyNot          error // if it is not
	Took            time.Duration
}

// Events are called as things happen, on the goroutine they happen on. Any may
// be nil, and so may the whole.
type Events struct {
	Opened     func(path string, o Opening)
	Started    func(path string, s Started)
	Fenced     func(path string, err error)
	Full       func(path string, err error) // a journal write found no space and is tried again
	Slow       func(path string, slow bool) // the slow-disk rule changed its mind
	Ignored    func(path, name, why string) // a directory that is no log
	Repaired   func(path, file, why string) // a checkpoint was not usable and is begun anew
	Dropped    func(path string, d Drop)    // journaled records that were not brought back
	Checkpoint func(path string, took time.Duration, err error)
	Removed    func(path, name string, err error) // the bytes of a deleted log are gone
}

// Drop names records the journal acknowledged that are not there any more.
type Drop struct {
	Log      string // its directory
	From, To int64  // offsets, To exclusive
	Why      string
}

// events never returns nil.
func (d *Dir) events() *Events {
	if d.o.Events == nil {
		return &Events{}
	}
	return d.o.Events
}

func (e *Events) repaired(path, file, why string) {
	if e.Repaired != nil {
		e.Repaired(path, file, why)
	}
}

func (e *Events) ignored(path, name, why string) {
	if e.Ignored != nil {
		e.Ignored(path, name, why)
	}
}

func (e *Events) dropped(path string, drop Drop) {
	if e.Dropped != nil {
		e.Dropped(path, drop)
	}
}
