package harness

import (
	"fmt"
	"math/rand"
	"time"

	"github.com/libstorage/tests/crash/dropfs"
)

// DropFS is the Plug of a dropfs mount.
type DropFS struct {
	FS *dropfs.FS
	// KeepPercent of what is not synced; dropfs.DrawPercent draws it each time.
	KeepPercent int
}

// Pull implements Plug: before one of the next changes, so that it falls between
// any two writes of a transaction. An idle disk is cut after a moment.
func (d *DropFS) Pull(random *rand.Rand, within int) (string, error) {
	seed := random.Uint64()
	type outcome struct {
		status dropfs.Status
		err    error
	}
	if err := d.FS.Arm(1+random.Intn(within), seed, d.KeepPercent); err != nil {
		return "", err
	}
	off := make(chan outcome, 1)
	go func() {
		status, err := d.FS.Wait()
		off <- outcome{status, err}
	}()
	var o outcome
	select {
	case o = <-off:
	case <-time.After(5 * time.Second):
		// It may happen by itself in this very moment: then this is refused.
		_, _ = d.FS.Crash(seed, d.KeepPercent)
		o = <-off
	}
	s := o.status
	return fmt.Sprintf(" (seed %d, %d%% kept: sectors %d kept %d lost, %d torn files, %d sizes lost, entries %d kept %d lost)",
		seed, s.KeepPercent, s.SectorsKept, s.SectorsLost, s.FilesTorn, s.SizesLost, s.EntriesKept, s.EntriesLost), o.err
}

// Restore implements Plug.
func (d *DropFS) Restore() error { return d.FS.Restart() }

// Fill implements Disk.
func (d *DropFS) Fill(room int64) error {
	status, err := d.FS.Status()
	if err != nil {
		return err
	}
	return d.FS.SetLimit(status.Used + room)
}

// Free implements Disk.
func (d *DropFS) Free() error { return d.FS.SetLimit(0) }
