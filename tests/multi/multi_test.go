package multi

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/libstorage/go-shim/testserver"
	"github.com/libstorage/tests/crash/harness"
	"github.com/libstorage/tests/crash/storeapi"
	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// stack is what the servers stand on.
type stack struct {
	databases []*database
	args      []string // of every store server
	data      string   // their working directory
}

// topologies are those that must survive. All servers of one share its metadata
// store; more than one needs a metadata store that several may write.
var topologies = []struct {
	name    string
	servers int
	sample  bool // in the sample, not only in the full run
	build   func(t *testing.T) stack
}{
	{"sqlite", 1, true, sqliteFiles},
	{"postgres", 1, false, func(t *testing.T) stack { return oneServer(t, testserver.StartPostgres(t)) }},
	{"mariadb", 1, false, func(t *testing.T) stack { return oneServer(t, testserver.StartMariaDB(t)) }},
	{"etcd", 1, false, func(t *testing.T) stack { return oneServer(t, testserver.StartEtcd(t)) }},
	{"mixed", 1, false, mixed},
	{"mixed-3", 3, true, mixed},
	{"postgres-3", 3, false, func(t *testing.T) stack { return oneServer(t, testserver.StartPostgres(t)) }},
	{"postgres-spread-3", 3, true, postgresSpread},
	{"mariadb-3", 3, true, func(t *testing.T) stack { return oneServer(t, testserver.StartMariaDB(t)) }},
	{"etcd-3", 3, false, func(t *testing.T) stack { return oneServer(t, testserver.StartEtcd(t)) }},
}

// oneServer keeps objects and metadata in two databases of a server.
func oneServer(t *testing.T, s *testserver.Server) stack {
	d := behindProxy(t, s)
	return stack{
		databases: []*database{d}, data: t.TempDir(),
		args: []string{"-default=" + d.endpoint(t, "objects"), "-metadata=" + d.endpoint(t, "meta")},
	}
}

// spread keys over three databases: team-a by a prefix, team-b by a namespace, the
// rest to the default.
func spread(t *testing.T, a, b string) (arg string) {
	topology := filepath.Join(t.TempDir(), "topology.yaml")
	text := fmt.Sprintf(`backends:
- endpoint: %s
  name: a
  prefix: {prefix: configmaps/team-a}
- endpoint: %s
  name: b
  namespace: {namespace: team-b}
`, a, b)
	if err := os.WriteFile(topology, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "-topology=" + topology
}

func sqliteFiles(t *testing.T) stack {
	return stack{data: t.TempDir(), args: []string{
		"-default=sqlite://./default.db", "-metadata=sqlite://./meta.db", spread(t, "sqlite://./a.db", "sqlite://./b.db"),
	}}
}

// postgresSpread is three databases on two PostgreSQL servers, each of which may fail.
func postgresSpread(t *testing.T) stack {
	one := behindProxy(t, testserver.StartPostgres(t))
	two := behindProxy(t, testserver.StartPostgres(t))
	return stack{
		databases: []*database{one, two}, data: t.TempDir(),
		args: []string{
			"-default=" + one.endpoint(t, "objects"), "-metadata=" + one.endpoint(t, "meta"),
			spread(t, two.endpoint(t, "a"), two.endpoint(t, "b")),
		},
	}
}

// mixed is PostgreSQL, with the metadata, MariaDB and etcd.
func mixed(t *testing.T) stack {
	pg := behindProxy(t, testserver.StartPostgres(t))
	my := behindProxy(t, testserver.StartMariaDB(t))
	etcd := behindProxy(t, testserver.StartEtcd(t))
	return stack{
		databases: []*database{pg, my, etcd}, data: t.TempDir(),
		args: []string{
			"-default=" + pg.endpoint(t, "objects"), "-metadata=" + pg.endpoint(t, "meta"),
			spread(t, my.endpoint(t, "objects"), etcd.endpoint(t, "")),
		},
	}
}

// full is the number of calls of a full run, of all topologies: MULTI_FULL. 0 is the
// sample.
var full = sync.OnceValue(func() int {
	text := os.Getenv("MULTI_FULL")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		panic(fmt.Sprintf("MULTI_FULL=%q is not a number of calls", text))
	}
	return n
})

var server = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(binaries, "storeserver")
	return binary, storeapi.Build(binary)
})

var binaries string // directory

func TestMain(m *testing.M) {
	var err error
	if binaries, err = os.MkdirTemp("", "multi-"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(binaries)
	os.Exit(status)
}

// TestFaults: whatever fails, and when, what anybody was told stays true.
func TestFaults(t *testing.T) {
	binary, err := server()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range topologies {
		if !row.sample && full() == 0 {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			stack := row.build(t)
			var servers []target.Target
			logs, err := os.MkdirTemp("", "multi-"+row.name+"-") // kept when it fails
			if err != nil {
				t.Fatal(err)
			}
			for i := range row.servers {
				dir := filepath.Join(logs, strconv.Itoa(i))
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				servers = append(servers, &storeapi.Target{Binary: binary, Dir: dir, Data: stack.data, Args: stack.args})
			}
			if err := run(t, stack, servers); err != nil {
				t.Errorf("%v\nlogs in %s", err, logs)
			} else {
				os.RemoveAll(logs)
			}
		})
	}
}

func run(t *testing.T, stack stack, servers []target.Target) error {
	config := harness.Config{
		Seed: harness.Seed(), Clients: 16, Watchers: 4, Keys: 40,
		Prefixes: []string{"team-a/", "team-b/", "team-c/"}, Log: t.Logf,
	}
	chaos := harness.Chaos{Calls: 3_000, Gap: 1_000, Lines: [][]harness.Fault{
		{harness.KillServer, harness.PauseServer(leastSilence, mostSilence), harness.CompactHistory},
	}}
	if full() > 0 {
		chaos.Calls, chaos.Gap = full(), max(chaos.Gap, full()/35)
	}
	if len(stack.databases) > 0 {
		chaos.Lines = append(chaos.Lines, crashes(stack.databases), cuts(stack.databases))
	}
	begin := time.Now()
	return harness.Prove(t, config, func(config harness.Config) (*history.History, error) {
		h, err := harness.RunChaos(context.Background(), config, chaos, servers...)
		t.Logf("%d server(s), %s", len(servers), time.Since(begin).Round(time.Second))
		return h, err
	})
}
