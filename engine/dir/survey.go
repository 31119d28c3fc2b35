// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/journal"
)

// surveyor reads what the last user of a directory left, and fills the table.
type surveyor struct {
	d       *Dir
	entries int   // of the journal, so far
	store   int64 // the newest version of the metadata store that checkpoint or journal name
}

// read is Open under the lock.
func (v *surveyor) read() (err error) {
	d := v.d
	if d.clusterID, err = d.files.identify(&d.o); err != nil {
		return err
	}
	if d.fileBytes, err = d.o.journalBytes(); err != nil {
		return err
	}
	budget := d.o.BudgetBytes
	if budget == 0 {
		budget = min(budgetMax, d.fileBytes/4)
	}
	d.clients.budget, d.internal.budget = budget, max(1, budget/internalShare)
	if err := v.checkpoints(); err != nil {
		return err
	}
	if err := v.names(); err != nil {
		return err
	}
	if err := v.storeAge(); err != nil {
		return err
	}
	return v.list()
}

// checkpoints reads the mark, the journal's checkpoint and Kafka's.
func (v *surveyor) checkpoints() error {
	d := v.d
	c, why, err := journal.ReadCheckpoint(d.o.FS, d.o.Path)
	if err != nil {
		return err
	}
	mark, found, err := d.files.readMark(markName)
	if err != nil {
		return err
	}
	d.last, d.clean = c, found
	d.foreign = found && (c == nil || c.Mark != mark)
	none := [16]byte{}
	if c != nil && c.Store != none && d.o.StoreID != none && c.Store != d.o.StoreID {
		return fmt.Errorf("%w: %s was used with store %x, this is %x", ErrStore, d.o.Path, c.Store, d.o.StoreID)
	}
	if c == nil && why != nil && !d.clean {
		if !d.accept {
			return fmt.Errorf("%w: %s: no checkpoint can be read: %w", ErrDamaged, d.o.Path, why)
		}
		d.drop(Drop{Log: "all logs", From: -1, To: -1, Why: "no checkpoint can be read: " + why.Error()})
	} else if why != nil {
		d.events().repaired(d.o.Path, "samsa.checkpoint", why.Error())
	}
	if d.recoveryPoints, err = d.files.readOffsets(recoveryPointName); err != nil {
		return err
	}
	if d.logStarts, err = d.files.readOffsets(logStartName); err != nil {
		return err
	}
	d.highWatermarks, err = d.files.readOffsets(replicationName)
	return err
}

// names reads what checkpoint and journal say about logs, not yet what they
// hold of them: which were made, removed or moved their start, and how far they
// were acknowledged. After a clean stop of our own there is nothing to read.
func (v *surveyor) names() error {
	d := v.d
	if d.last == nil {
		return v.nothing()
	}
	d.logs.nextCreation, v.store = max(1, d.last.NextCreation), d.last.StoreVersion
	for i := range d.last.Logs {
		l := &d.last.Logs[i]
		topic, partition, ok := parseLogName(l.Name)
		if !ok {
			return fmt.Errorf("%w: checkpoint names a log %q", ErrDamaged, l.Name)
		}
		d.logs.enter(&state{
			id: l.ID, topicID: l.ID.Topic, topic: topic, partition: partition, name: l.Name, known: true,
			synced: l.Synced, start: l.Start, producers: l.Producers, acked: l.Synced,
		})
	}
	if d.last.FileBytes == 0 || d.clean && !d.foreign {
		return nil
	}
	var kept *journal.Kept // after a clean stop nothing is replayed
	if !d.clean {
		kept = journal.Keep(cmp.Or(d.o.KeepBytes, journal.Files*d.last.FileBytes))
	}
	got, err := journal.ScanInto(kept, d.o.FS, d.o.Path, d.last, func(_ uint64, e *journal.Entry) error { return v.entry(e) })
	d.surveyed = surveyed{Scanned: got, kept: kept}
	if err != nil {
		return err
	}
	if len(got.Gaps) == 0 {
		return nil
	}
	return v.gaps(got.Gaps)
}

// storeAge refuses a metadata store that is older than the one which knew the
// logs here: what it does not know would count as deleted.
func (v *surveyor) storeAge() error {
	d := v.d
	if d.o.StoreVersion == nil || v.store <= d.o.StoreVersion() {
		return nil
	}
	return fmt.Errorf("%w: %s was used with version %d of it, this is version %d; put the newest one back",
		ErrOldStore, d.o.Path, v.store, d.o.StoreVersion())
}

// surveyed is what one reading of the journal found.
type surveyed struct {
	journal.Scanned
	kept *journal.Kept // nil: nothing is to be replayed
}

// nothing is names without a checkpoint. A journal with groups in it
// must have had one.
func (v *surveyor) nothing() error {
	d := v.d
	if d.clean || d.accept {
		return nil
	}
	for i := range journal.Files {
		name := filepath.Join(d.o.Path, journal.FileName(i))
		f, err := d.o.FS.OpenFile(name, os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		head := make([]byte, journal.GroupHeaderSize)
		_, rerr := f.ReadAt(head, 0)
		if err := f.Close(); err != nil {
			return err
		}
		if _, bad := journal.DecodeHeader(head); rerr == nil && bad == nil {
			return fmt.Errorf("%w: %s holds groups, but no checkpoint says which count", ErrDamaged, name)
		}
	}
	return nil
}

// entry takes one entry's word on its log.
func (v *surveyor) entry(e *journal.Entry) error {
	d := v.d
	v.entries++
	if e.Kind == journal.KindCreated {
		v.store = max(v.store, e.Last)
	}
	s := d.logs.states[e.Log.Creation]
	if e.Kind == journal.KindCreated && s == nil {
		topic, partition, ok := parseLogName(string(e.Data))
		if !ok {
			return fmt.Errorf("%w: journal names a log %q", ErrDamaged, e.Data)
		}
		d.logs.enter(&state{
			id: e.Log, topicID: e.Log.Topic, topic: topic, partition: partition, name: string(e.Data), known: true,
			synced: e.Base, acked: e.Base,
		})
		return nil
	}
	if s == nil {
		return nil // replay will say so
	}
	switch e.Kind {
	case journal.KindBatch, journal.KindSynced:
		s.acked = max(s.acked, e.Last+1)
		s.trail.follow(v.entries, s.synced, e)
	case journal.KindRemoved:
		s.removed = true
		if d.logs.byName[s.name] == s {
			delete(d.logs.byName, s.name)
		}
	case journal.KindStart:
		s.start = max(s.start, e.Base)
	case journal.KindExpire:
		s.expirable = max(s.expirable, e.Base)
	case journal.KindReset:
		s.start, s.acked, s.trail.broken = e.Base, e.Base, true
	}
	return nil
}

// gaps names what may be lost: what the missing groups held nobody knows,
// but the logs that go on behind them are.
func (v *surveyor) gaps(gaps []journal.Gap) error {
	d := v.d
	var text strings.Builder
	for i, g := range gaps {
		if i > 0 {
			text.WriteString("; ")
		}
		fmt.Fprintf(&text, "groups %d to %d at position %d (%s) are not readable although later ones are",
			g.First, g.Next-1, g.Position, journal.FileName(int(g.Position/d.last.FileBytes%journal.Files)))
	}
	if d.clean {
		d.drop(Drop{Log: "unknown logs", From: -1, To: -1, Why: text.String()})
		return nil
	}
	text.WriteString("; logs that may lack records:")
	behind := map[uint64]bool{}
	next := gaps[0].Next
	_, err := journal.Scan(d.o.FS, d.o.Path, d.last, func(seq uint64, e *journal.Entry) error {
		s := d.logs.states[e.Log.Creation]
		if seq < next || behind[e.Log.Creation] || e.Kind != journal.KindBatch && e.Kind != journal.KindSynced {
			return nil
		}
		behind[e.Log.Creation] = true
		name := fmt.Sprintf("topic id %s partition %d", topicText(e.Log.Topic), e.Log.Partition)
		if s != nil {
			name = s.name
		}
		fmt.Fprintf(&text, " %s below offset %d", name, e.End)
		return nil
	})
	if err != nil {
		return err
	}
	if !d.accept {
		return fmt.Errorf("%w: %s: %s", ErrDamaged, d.o.Path, text.String())
	}
	d.drop(Drop{Log: "unknown logs", From: -1, To: -1, Why: text.String()})
	return nil
}

// list reads the directory and brings it together with what the journal says:
// deletions and creations that were cut short are finished.
func (v *surveyor) list() error {
	d := v.d
	entries, err := d.o.FS.ReadDir(d.o.Path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() || name == remoteCache {
			continue
		}
		switch suffixOf(name) {
		case "-delete":
			d.upkeep.deletions = append(d.upkeep.deletions, deletion{name, d.now().UnixMilli() + deleteDelayMs})
			continue
		case "-future", "-stray":
			continue
		}
		topic, partition, ok := parseLogName(name)
		if !ok {
			d.events().ignored(d.o.Path, name, "the name is not TOPIC-PARTITION; Kafka would refuse to start")
			continue
		}
		if err := v.listOne(topic, partition, name); err != nil {
			return err
		}
	}
	for _, s := range d.logs.sorted() {
		if !s.there || s.removed {
			continue
		}
		d.found = append(d.found, Found{
			Topic: s.topic, Partition: s.partition, ID: s.topicID, Name: s.name, NeedsRecovery: !d.clean, Known: s.known,
		})
	}
	sortFound(d.found)
	return nil
}

// listOne is list for one directory that is named like a log.
func (v *surveyor) listOne(topic string, partition int32, name string) error {
	d := v.d
	id, err := d.files.readMetadata(name)
	if err != nil {
		return err
	}
	none := [16]byte{}
	for _, s := range d.logs.sorted() { // a deletion that did not come to the rename
		if s.removed && s.name == name && !d.foreign && s.topicID == id && d.logs.byName[name] == nil {
			return d.upkeep.setAside(s.topic, s.partition, name, deleteDelayMs)
		}
	}
	s := d.logs.byName[name]
	if s != nil && s.topicID != none && id != none && s.topicID != id {
		// Another broker deleted the topic and made it again.
		s.name = "" // nothing of it stands here
		delete(d.logs.byName, name)
		s = nil
	}
	if s == nil {
		s = d.logs.create(topic, partition, id)
		s.synced = d.recoveryPoints[s.place()]
		s.acked = 0
	}
	if id == none && s.topicID != none {
		if err := d.files.writeMetadata(name, s.topicID); err != nil { // a creation that was cut short
			return err
		}
	} else {
		s.topicID = id
	}
	s.there = true
	return nil
}

// preallocated is the least size an index file is taken to be preallocated at:
// one of ours with that many entries belongs to half a gigabyte.
const preallocated = 1 << 20

// touched tells whether another broker has opened a log since we last had it:
// Kafka resizes the active segment's index to segment.index.bytes when it loads
// a log, and cuts it to size only when it stops cleanly. We never do, so our
// files end in a zero entry only where a power cut tore them; those are small.
// It must be asked before the log is opened, which mends the index.
func (f *folder) touched(name string, c *engine.Config) (bool, error) {
	path := f.file(name)
	entries, err := f.fs.ReadDir(path)
	if err != nil {
		return false, err
	}
	active := ""
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".index") {
			active = e.Name() // they are sorted, and names are as long as each other
		}
	}
	if active == "" {
		return false, nil
	}
	const entry = 8
	file, err := f.fs.OpenFile(filepath.Join(path, active), os.O_RDONLY, 0)
	if err != nil {
		return false, err
	}
	size, err := file.Size()
	var last [entry]byte
	if err == nil && size >= entry {
		_, err = file.ReadAt(last[:], size-entry)
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	grown := size >= preallocated || c != nil && size == int64(c.IndexBytes)/entry*entry
	return size >= entry && grown && last == [entry]byte{}, err
}
