package crash

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libstorage/tests/crash/dropfs"
	"github.com/libstorage/tests/crash/harness"
	"github.com/libstorage/tests/crash/storeapi"
	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
	"github.com/libstorage/tests/history/checker"
)

// seed of this run.
var seed = harness.Seed

// rounds is n in a sample and full with CRASH_FULL=1.
func rounds(n, full int) int {
	if os.Getenv("CRASH_FULL") != "" {
		return full
	}
	return n
}

// plan makes rounds of a strike: every third loses the metadata store, some are
// after a compaction, some are followed by another strike while the server starts.
func plan(strike history.MarkKind, n int) []harness.Round {
	all := make([]harness.Round, n)
	for i := range all {
		all[i] = harness.Round{Strike: strike, LoseMeta: i%3 == 1, Compact: i%4 == 3, Again: i%4 == 2 || i%6 == 1}
	}
	return all
}

func config(t *testing.T, rounds []harness.Round) harness.Config {
	return harness.Config{
		Seed: seed(), Clients: 8, Watchers: 4, Keys: 40, Own: 15, Prefixes: []string{"team-a/", "team-b/", "team-c/"},
		Rounds: rounds, AcksPerRound: 1200, StartTime: 40 * time.Millisecond, Log: t.Logf,
	}
}

// Both servers are built once for all tests. The control does without the library.
var (
	nativeServer    = sync.OnceValues(func() (string, error) { return buildServer("native", nil) })
	referenceServer = sync.OnceValues(func() (string, error) { return buildServer("reference", []string{"-tags=reference"}) })
	binaries        string // directory
)

func buildServer(name string, flags []string) (string, error) {
	binary := filepath.Join(binaries, name)
	return binary, storeapi.Build(binary, flags...)
}

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "crash-"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(binaries)
	os.Exit(status)
}

// newTarget serves data in a directory with an engine of storeserver.
func newTarget(t *testing.T, data string, engine []string) *storeapi.Target {
	t.Helper()
	server, metadata := nativeServer, "*.meta*"
	if strings.HasPrefix(engine[0], "-engine=reference") {
		server, metadata = referenceServer, "meta"
	}
	binary, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return &storeapi.Target{Binary: binary, Dir: t.TempDir(), Data: data, Args: engine, Metadata: metadata}
}

// mount a dropfs volume for the length of the test.
func mount(t *testing.T, limit int64) *dropfs.FS {
	t.Helper()
	fs, err := dropfs.New(t.TempDir(), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	})
	return fs
}

// strike runs the harness and the checker.
func strike(t *testing.T, config harness.Config, server target.Target, plug harness.Plug) error {
	t.Helper()
	return harness.Prove(t, config, func(config harness.Config) (*history.History, error) {
		return harness.Run(context.Background(), config, server, plug)
	})
}

// mustBeRefuted: the history of a build that loses writes does not pass.
func mustBeRefuted(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, harness.ErrNoStart) {
		t.Logf("as it must be: %v", err)
		return
	}
	var refuted *harness.Refuted
	if !errors.As(err, &refuted) {
		t.Fatalf("the layer does not bite: %v", err)
	}
	for _, v := range refuted.Violations {
		switch v.Rule {
		case checker.LostWrite, checker.ReusedRevision, checker.BackwardRev:
			t.Logf("as it must be: %d violations, such as %s", len(refuted.Violations), v)
			return
		}
	}
	t.Errorf("want a lost write, got %v", err)
}
