package crash

import (
	"strings"
	"testing"

	"github.com/libstorage/tests/crash/harness"
	"github.com/libstorage/tests/history"
)

// The control: a store that is right passes, and without fsync it does not.

func TestReferenceKill(t *testing.T) {
	server := newTarget(t, t.TempDir(), []string{"-engine=reference"})
	rounds := append(plan(history.Kill, 4), harness.Round{Strike: history.Stop})
	if err := strike(t, config(t, rounds), server, nil); err != nil {
		t.Error(err)
	}
}

func TestReferencePowerLoss(t *testing.T) {
	fs := mount(t, 0)
	server := newTarget(t, fs.Mount, []string{"-engine=reference"})
	if err := strike(t, config(t, plan(history.Power, 4)), server, &harness.DropFS{FS: fs, KeepPercent: -1}); err != nil {
		t.Error(err)
	}
}

func TestReferenceWithoutFsyncFails(t *testing.T) {
	fs := mount(t, 0)
	server := newTarget(t, fs.Mount, []string{"-engine=reference-nosync"})
	err := strike(t, config(t, []harness.Round{{Strike: history.Power}}), server, &harness.DropFS{FS: fs, KeepPercent: 50})
	mustBeRefuted(t, err)
}

// It keeps no ballast, so on a full disk it cannot delete.
func TestReferenceFullDiskFails(t *testing.T) {
	fs := mount(t, 0)
	server := newTarget(t, fs.Mount, []string{"-engine=reference"})
	err := strike(t, config(t, []harness.Round{{Strike: history.Full}}), server, &harness.DropFS{FS: fs})
	if err == nil || !strings.Contains(err.Error(), "on a full disk, a delete") {
		t.Errorf("want a refused delete, got %v", err)
	}
}
