// Package failover runs store servers over database clusters that lose the server
// which serves the writes: a PostgreSQL primary, a Galera node, the leader of etcd.
package failover

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/libstorage/tests/crash/harness"
	"github.com/libstorage/tests/crash/storeapi"
	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// resumeLimit is what writes may take to be served again once the databases can: on
// a machine of its own it is a tenth of that.
const resumeLimit = 15 * time.Second

// patience with what takes no time on a healthy machine.
const patience = 60 * time.Second

var (
	full   = os.Getenv("FAILOVER_FULL") != ""
	server string // program
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "failover-")
	if err != nil {
		panic(err)
	}
	server = filepath.Join(dir, "storeserver")
	if err := storeapi.Build(server); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// times of a run.
type times struct {
	resumed []time.Duration // from the switch to writes by every server
}

// TestFailover: writes go on within seconds, and what anybody was told stays true.
func TestFailover(t *testing.T) {
	for _, row := range []struct {
		name    string
		servers int
		sample  bool
		start   func(t *testing.T) cluster
	}{
		{"postgres", 1, false, func(t *testing.T) cluster { return newPair(t, true) }},
		{"postgres-2", 2, true, func(t *testing.T) cluster { return newPair(t, true) }},
		{"etcd", 1, true, func(t *testing.T) cluster { return newMembers(t) }},
		{"galera", 1, true, func(t *testing.T) cluster { return newGalera(t) }},
	} {
		if !row.sample && !full {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			c := row.start(t)
			var log times
			mustHold(t, servers(t, row.servers, c), failover(c, &log))
			if len(log.resumed) == 0 {
				t.Error("there was no failover")
			}
			for _, resumed := range log.resumed {
				if resumed > resumeLimit {
					t.Errorf("writes resumed after %s, want %s", resumed, resumeLimit)
				}
			}
		})
	}
}

// servers that share one store, on a cluster.
func servers(t *testing.T, n int, c cluster) (all []target.Target) {
	args := []string{"-default=" + c.endpoint(t, "objects"), "-metadata=" + c.endpoint(t, "meta")}
	logs, err := os.MkdirTemp("", "failover-logs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs in %s", logs)
		} else {
			os.RemoveAll(logs)
		}
	})
	for i := range n {
		dir := filepath.Join(logs, strconv.Itoa(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		all = append(all, &storeapi.Target{Binary: server, Dir: dir, Data: t.TempDir(), Args: args})
	}
	return all
}

func mustHold(t *testing.T, servers []target.Target, faults ...harness.Fault) {
	t.Helper()
	if err := run(t, servers, faults...); err != nil {
		t.Error(err)
	}
}

// run a load under faults, and check what everybody was told.
func run(t *testing.T, servers []target.Target, faults ...harness.Fault) error {
	chaos := harness.Chaos{Calls: 3_000, Gap: 1_000, Lines: [][]harness.Fault{faults}}
	if full {
		chaos.Calls = 30_000
		chaos.Lines = append(chaos.Lines, []harness.Fault{harness.KillServer, harness.CompactHistory})
	}
	return harness.Prove(t, load(t), func(config harness.Config) (*history.History, error) {
		h, err := harness.RunChaos(context.Background(), config, chaos, servers...)
		slowest(t, h)
		return h, err
	})
}

func load(t *testing.T) harness.Config {
	return harness.Config{
		Seed: harness.Seed(), Clients: 8, Watchers: 4, Keys: 30, Own: 20,
		Prefixes: []string{"team-a/", "team-b/"}, Log: t.Logf,
	}
}

// slowest tells how long calls took to be answered, or refused.
func slowest(t *testing.T, h *history.History) {
	longest := map[history.Result]*history.Op{}
	for _, op := range h.Ops {
		if last := longest[op.Result]; last == nil || op.End-op.Start > last.End-last.Start {
			longest[op.Result] = op
		}
	}
	for result, op := range longest {
		t.Logf("slowest %s: %s after %s: %s", result, op.Kind, time.Duration(op.End-op.Start).Round(time.Millisecond), op.Error)
	}
}
