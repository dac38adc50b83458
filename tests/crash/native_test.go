package crash

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/libstorage/tests/crash/dropfs"
	"github.com/libstorage/tests/crash/harness"
	"github.com/libstorage/tests/history"
)

// oneFile keeps everything in one SQLite file, its metadata store beside it.
func oneFile(string) []string {
	return []string{"-engine=native", "-default=sqlite://./default.db", "-metadata=sqlite://./default.meta.db"}
}

// threeFiles spreads the keys over three, and has one metadata store.
func threeFiles(dir string) []string {
	topology := filepath.Join(dir, "topology.yaml")
	text := `backends:
- endpoint: sqlite://./a.db
  name: a
  prefix: {prefix: configmaps/team-a}
- endpoint: sqlite://./b.db
  name: b
  namespace: {namespace: team-b}
`
	if err := os.WriteFile(topology, []byte(text), 0o644); err != nil {
		panic(err)
	}
	return append(oneFile(dir), "-topology="+topology)
}

func TestKill(t *testing.T) {
	server := newTarget(t, t.TempDir(), oneFile(""))
	if err := strike(t, config(t, plan(history.Kill, rounds(3, 30))), server, nil); err != nil {
		t.Error(err)
	}
}

func TestKillWithThreeFiles(t *testing.T) {
	server := newTarget(t, t.TempDir(), threeFiles(t.TempDir()))
	if err := strike(t, config(t, plan(history.Kill, rounds(2, 30))), server, nil); err != nil {
		t.Error(err)
	}
}

func TestPowerLoss(t *testing.T) {
	fs := mount(t, 0)
	server := newTarget(t, fs.Mount, oneFile(""))
	if err := strike(t, config(t, plan(history.Power, rounds(3, 30))), server, &harness.DropFS{FS: fs, KeepPercent: dropfs.DrawPercent}); err != nil {
		t.Error(err)
	}
}

func TestPowerLossWithThreeFiles(t *testing.T) {
	fs := mount(t, 0)
	server := newTarget(t, fs.Mount, threeFiles(t.TempDir()))
	if err := strike(t, config(t, plan(history.Power, rounds(2, 30))), server, &harness.DropFS{FS: fs, KeepPercent: dropfs.DrawPercent}); err != nil {
		t.Error(err)
	}
}

// The same build without fsync must lose: otherwise the layer does not bite.
func TestPowerLossWithoutFsyncFails(t *testing.T) {
	binaries, err := dropfs.Build()
	if err != nil {
		t.Fatal(err)
	}
	fs := mount(t, 0)
	server := newTarget(t, fs.Mount, oneFile(""))
	server.Env = []string{"LD_PRELOAD=" + binaries.NoSync}
	mustBeRefuted(t, strike(t, config(t, []harness.Round{{Strike: history.Power}}), server, &harness.DropFS{FS: fs, KeepPercent: 50}))
}

// A normal restart keeps every revision of the window good: the harness reads at
// old ones and resumes its watchers after each.
func TestNormalRestarts(t *testing.T) {
	server := newTarget(t, t.TempDir(), threeFiles(t.TempDir()))
	rounds := make([]harness.Round, rounds(2, 10))
	for i := range rounds {
		rounds[i].Strike = history.Stop
	}
	if err := strike(t, config(t, rounds), server, nil); err != nil {
		t.Error(err)
	}
}

func TestFullDisk(t *testing.T) {
	fs := mount(t, 0)
	server := newTarget(t, fs.Mount, oneFile(""))
	rounds := []harness.Round{{Strike: history.Full}, {Strike: history.Kill}, {Strike: history.Full}, {Strike: history.Power}}
	if err := strike(t, config(t, rounds), server, &harness.DropFS{FS: fs, KeepPercent: dropfs.DrawPercent}); err != nil {
		t.Error(err)
	}
}

// The first start creates the files: the power goes before each of its changes in
// turn, until there are no more; in a sample, before some of them.
func TestPowerLossAtEveryChangeOfTheFirstStart(t *testing.T) {
	step := rounds(7, 1)
	for n := 1 + int(seed())%step; ; n += step {
		fs := mount(t, 0)
		server := newTarget(t, fs.Mount, oneFile(""))
		h, reached, err := harness.FirstStart(context.Background(), server, &harness.DropFS{FS: fs}, n, seed())
		if err == nil {
			err = harness.Check(h)
		}
		if err != nil {
			t.Errorf("change %d, SEED=%d: %v", n, seed(), err)
		}
		if !reached {
			t.Logf("up to change %d, every %d; SEED=%d", n-step, step, seed())
			return
		}
	}
}
