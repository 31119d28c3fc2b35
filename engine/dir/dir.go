// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"io"
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
	// ErrClosed means that the directory was closed.
	ErrClosed = errors.New("dir: directory is closed")
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
	FS               vfs.FS
	Path             string // must exist
	BrokerID         int32
	ClusterID        string // empty: take what meta.properties says
	Durability       Durability
	Writer           journal.Writer // nil: the directory's own goroutine writes
	JournalBytes     int64          // of each of the four files; 0: min(128 MiB, 1/80 of the file system)
	BudgetBytes      int64          // for Reserve; 0: min(16 MiB, JournalBytes/4)
	CheckpointMs     int64          // longest time with bytes that only the journal covers; 0: 60 s
	Now              func() time.Time
	StoreID          [16]byte // of the metadata store; zero: none, not compared
	ProducerExpiryMs int64    // producer.id.expiration.ms; 0: one day
	Descriptors      *engine.Descriptors
	Log              *engine.Events
	Events           *Events
}

// Events are called as things happen, on the goroutine they happen on. Any may
// be nil, and so may the whole.
type Events struct {
	Opened     func(path string, o Opening)
	Fenced     func(path string, err error)
	Slow       func(path string, slow bool)                       // the slow-disk rule changed its mind
	Repaired   func(path, file, why string)                       // a checkpoint file was not usable and was begun anew
	Dropped    func(path, log string, from, to int64, why string) // journaled records that were not brought back
	Replayed   func(path string, r Replay)                        // Start is done
	Checkpoint func(path string, took time.Duration, err error)
	Removed    func(path, name string, err error) // the bytes of a deleted log are gone
}

// Opening is what Open found.
type Opening struct {
	Clean      bool   // the last stop was clean, by whichever broker
	Foreign    bool   // the clean-shutdown mark is another broker's
	Direct     bool   // the journal is written with O_DIRECT
	Why        string // why not, if not
	JournalLen int64  // bytes of each journal file
}

// Replay is what Start brought back.
type Replay struct {
	Groups, Entries int
	BytesRead       int64 // of the journal's groups
	BytesScanned    int64 // behind the last group, looking for damage
	Appended, Kept  int   // batches
	Skipped         int
	Truncated       int
	Torn            bool // the last group was not whole
	Took            time.Duration
}

// Found is one log that stands in the directory.
type Found struct {
	Topic         string
	Partition     int32
	ID            [16]byte // topic id of partition.metadata; zero: none
	Name          string   // of its directory
	NeedsRecovery bool     // it must be loaded before Start
	// Known says that this directory's journal or checkpoint names the log: if
	// the metadata store does not, its deletion was cut short.
	Known bool
}

// Dir is one log directory, locked for this process.
type Dir struct{}

// Open locks the directory, checks whose it is and reads what its last user
// left: meta.properties, checkpoints, marks, the journal's names. No log is
// opened. It fails with ErrLocked, ErrMeta, ErrStore or ErrDamaged.
func Open(o Options) (*Dir, error) { panic("BUG: not built yet") }

// Found lists the logs in the directory, sorted by name. Those being deleted,
// copied or set aside by Kafka (-delete, -future, -stray) are not among them.
func (d *Dir) Found() []Found { panic("BUG: not built yet") }

// Load opens a found log, recovering it if the last stop was not clean.
// Different logs may be loaded at once.
func (d *Dir) Load(f Found, c *engine.Config) (*Log, error) { panic("BUG: not built yet") }

// Start replays the journal into the loaded logs, syncs them and opens a new
// journal; then appends may begin. After a clean stop there is nothing to
// replay, and logs may be loaded later. It fails with ErrDamaged when an
// acknowledged record cannot be brought back.
func (d *Dir) Start(logs []*Log) error { panic("BUG: not built yet") }

// Create makes a log: journaled, then its directory and partition.metadata,
// durable before it returns.
func (d *Dir) Create(id [16]byte, topic string, partition int32, c *engine.Config) (*Log, error) {
	panic("BUG: not built yet")
}

// Remove deletes a log: journaled, then renamed to NAME.<hex>-delete; its bytes
// go after file.delete.delay.ms. The log must not be used any more.
func (d *Dir) Remove(l *Log) error { panic("BUG: not built yet") }

// Partition names a replica in replication-offset-checkpoint.
type Partition struct {
	Topic string
	Index int32
}

// SetHighWatermarks gives the source of replication-offset-checkpoint, asked
// every 5 s and at Close. Only the partitions it names are written.
func (d *Dir) SetHighWatermarks(source func() map[Partition]int64) { panic("BUG: not built yet") }

// HighWatermark is what replication-offset-checkpoint said at Open.
func (d *Dir) HighWatermark(topic string, partition int32) (int64, bool) {
	panic("BUG: not built yet")
}

// ClusterID is what meta.properties says.
func (d *Dir) ClusterID() string { panic("BUG: not built yet") }

// Path is the directory's name as it was opened.
func (d *Dir) Path() string { panic("BUG: not built yet") }

// Waiter is one request waiting for room in a journal. Ready runs, on any
// goroutine, once what it asked for is reserved for it; it must not block.
type Waiter struct {
	Ready func()
}

// Reserve takes n bytes, at final size, of the directory's room: journal and
// memory. If there is none now it queues w, first come, first served, and
// returns false. A request larger than the whole budget waits until nothing is
// reserved and takes it whole.
func (d *Dir) Reserve(n int64, w *Waiter) bool { panic("BUG: not built yet") }

// Unreserve gives back what Reserve took, once the records are durable or
// failed.
func (d *Dir) Unreserve(n int64) { panic("BUG: not built yet") }

// ReserveInternal is Reserve from the share that internal appends (offsets,
// markers, replicas) have to themselves.
func (d *Dir) ReserveInternal(n int64, w *Waiter) bool { panic("BUG: not built yet") }

// UnreserveInternal gives back what ReserveInternal took.
func (d *Dir) UnreserveInternal(n int64) { panic("BUG: not built yet") }

// Withdraw takes w out of the queue. False: it is not there, Ready has run or
// is about to, and the room is w's to give back.
func (d *Dir) Withdraw(w *Waiter) bool { panic("BUG: not built yet") }

// Slow tells whether turns of this directory's logs must be drained by its
// writer goroutine, through Go, instead of by loops.
func (d *Dir) Slow() bool { panic("BUG: not built yet") }

// Go runs fn on the directory's writer goroutine, after what was given before.
func (d *Dir) Go(fn func()) { panic("BUG: not built yet") }

// Err is why the directory is fenced, nil if it is not.
func (d *Dir) Err() error { panic("BUG: not built yet") }

// Close stops the directory's goroutines. Clean: every log is synced and
// closed, the checkpoints are written and the clean-shutdown mark comes last.
func (d *Dir) Close(clean bool) error { panic("BUG: not built yet") }

// Log is one replica's log in this directory: engine.Log and its place in the
// journal.
type Log struct {
	*engine.Log
	// OnDurable is set once, before the first append. It is called from any
	// goroutine after DurableEnd moved or the directory was fenced, and must
	// not block.
	OnDurable func()
}

// ID is the topic id the log was made with; zero if it has none.
func (l *Log) ID() [16]byte { panic("BUG: not built yet") }

// Dir is the directory the log stands in.
func (l *Log) Home() *Dir { panic("BUG: not built yet") }

// DurableEnd is the offset below which everything survives a power cut.
func (l *Log) DurableEnd() engine.Offset { panic("BUG: not built yet") }

// Stage is engine.Log.Stage.
func (l *Log) Stage(a *engine.Append) error { panic("BUG: not built yet") }

// Write places what is staged in the segment and in the journal's open group.
// It fails with ErrFenced, engine.ErrNoSpace or engine.ErrIO; appends that were
// not placed carry their own Err.
func (l *Log) Write() (n int, err error) { panic("BUG: not built yet") }

// Roll begins a new segment.
func (l *Log) Roll() error { panic("BUG: not built yet") }

// TruncateTo removes the records from end on. It waits for the journal: not on
// a loop.
func (l *Log) TruncateTo(end engine.Offset) error { panic("BUG: not built yet") }

// Reset empties the log and begins at start. It waits for the journal: not on
// a loop.
func (l *Log) Reset(start engine.Offset) error { panic("BUG: not built yet") }

// TrimTo moves the log start offset up, durably. It waits for the journal: not
// on a loop.
func (l *Log) TrimTo(start engine.Offset) error { panic("BUG: not built yet") }

// Expire is engine.Log.Expire, kept to what the last checkpoint covers; when
// more is due a checkpoint is asked for and the next call takes it.
func (l *Log) Expire(now time.Time, hw engine.Offset) (removed int, err error) {
	panic("BUG: not built yet")
}

// Recover brings the logs of a directory back without a broker, prints what it
// did to w and leaves the clean-shutdown mark. With acceptLoss it goes on past
// damage, naming what is lost.
func Recover(o Options, acceptLoss bool, w io.Writer) error { panic("BUG: not built yet") }
