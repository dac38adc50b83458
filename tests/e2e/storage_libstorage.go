package e2e

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// libstorage keeps its objects in SQLite files: the four policies of the users'
// example and the default.
type libstorage struct{ dir, stgctl string }

// topologyText has the policies, names and order of the users' example; only the
// endpoints differ, and shirts are compacted as soon as their history is over.
const topologyText = `backends:
- endpoint: sqlite://./db/rbac.db?_journal=WAL&_busy_timeout=30000
  regexp:
    name: rbac
    prefix: (clusterrolebindings|clusterroles|rolebindings|roles|serviceaccounts)
    key: (clusterrolebindings|clusterroles|rolebindings|roles|serviceaccounts)
- endpoint: sqlite://./db/kube-system.db?_journal=WAL&_busy_timeout=30000
  namespace:
    name: kube-system
    namespace: kube-system
- endpoint: sqlite://./db/pods.db?_journal=WAL&_busy_timeout=30000
  prefix:
    name: pods
    prefix: pods
- endpoint: sqlite://./db/shirts.db?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate
  customresource:
    name: shirts
    group: stable.example.com
    kind: shirts
  compactInterval: 2s
`

func (s *libstorage) APIServer(out string) string {
	s.stgctl = filepath.Join(out, "../../release/libstorage/stgctl")
	return filepath.Join(out, "bin", "kube-apiserver")
}

func (s *libstorage) Start(dir string) error {
	s.dir = dir
	return os.WriteFile(filepath.Join(dir, "topology.yaml"), []byte(topologyText), 0o644)
}

func (s *libstorage) Flags() []string {
	return []string{"--storage-backend=libstorage", "--topology-config=" + filepath.Join(s.dir, "topology.yaml"),
		"--etcd-servers=multi://sqlite://./db/default.db"}
}
func (s *libstorage) Env() []string                 { return nil }
func (s *libstorage) Stop() error                   { return nil }
func (s *libstorage) CompactTo(int64) (bool, error) { return false, nil }
func (s *libstorage) ShortHistory() []string        { return []string{"REVISION_MAPPER_HISTORY=5s"} }

func (s *libstorage) Backup(dir string) (bool, error) { return true, s.run("backup", dir) }

func (s *libstorage) Restore(dir string) ([]string, error) {
	return []string{"--storage-restored"}, s.run("restore", "--force", dir)
}

// run runs stgctl where the API server runs: endpoints are relative.
func (s *libstorage) run(args ...string) error {
	args = append(args, "--topology="+filepath.Join(s.dir, "topology.yaml"), "--default=multi://sqlite://./db/default.db")
	cmd := exec.Command(s.stgctl, args...)
	cmd.Dir = s.dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("stgctl %v: %w: %s", args, err, output)
	}
	return nil
}

func (s *libstorage) Checks() (sides, central []string) {
	return []string{"storage-rbac", "storage-kube-system", "storage-pods", "storage-shirts"}, []string{"storage-default"}
}
func (s *libstorage) OneServer() bool { return true }

// Metrics: docs/metrics.md.
func (s *libstorage) Metrics() []string {
	want := []string{
		`libstorage_objects{backend="shirts",collection="stable.example.com/shirts"} 20`, // 2,0xx
		"libstorage_revision ", "libstorage_watches ", "libstorage_watch_lag_revisions ", "libstorage_watch_lag_seconds ",
		`libstorage_watch_decodes_total{result="hit"}`, "libstorage_buffers{purpose=", "libstorage_buffer_bytes{purpose=",
		"etcd_request_duration_seconds_count{", "apiserver_storage_objects{",
	}
	for _, name := range databases {
		label := `{backend="` + name + `"`
		want = append(want, "libstorage_backend_up"+label+`,kind="sqlite"} 1`,
			"libstorage_operations_total"+label+`,operation="put"}`, "libstorage_operation_seconds_total"+label+`,operation="get"}`,
			"libstorage_commits_total"+label, "libstorage_lane_batches_total"+label, "libstorage_object_bytes"+label,
			"libstorage_history_rows"+label, "libstorage_history_bytes"+label, "libstorage_compaction_debt_rows"+label,
			"libstorage_backend_file_bytes"+label, "libstorage_backend_head_revision"+label, "libstorage_backend_floor_revision"+label)
	}
	return want
}

func (s *libstorage) DataDirs() []string { return []string{filepath.Join(s.dir, "db")} }

// The first is in etcd where there is one.
var databases = []string{"rbac", "kube-system", "pods", "shirts", "default"}

// Keys asks the sqlite3 program, not our own code.
func (s *libstorage) Keys() (map[string][]string, error) {
	all := map[string][]string{}
	for _, name := range databases {
		rows, err := s.sqlite(name, "SELECT hex(key) FROM objects")
		if err != nil {
			return nil, err
		}
		all[name] = rows
	}
	return all, nil
}

func (s *libstorage) Values(key string) ([]string, error) {
	var all []string
	for _, name := range databases {
		rows, err := s.sqlite(name, fmt.Sprintf("SELECT hex(value) FROM objects WHERE hex(key) = '%X'", key))
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// sqlite returns rows of one hexadecimal column.
func (s *libstorage) sqlite(name, query string) ([]string, error) {
	cmd := exec.Command("sqlite3", "-readonly", filepath.Join(s.dir, "db", name+".db"), query)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("sqlite3 %s.db: %w: %s", name, err, output)
	}
	var rows []string
	for _, line := range strings.Fields(string(output)) {
		text, err := hex.DecodeString(line)
		if err != nil {
			return nil, err
		}
		rows = append(rows, string(text))
	}
	return rows, nil
}

var rbacRule = regexp.MustCompile("(clusterrolebindings|clusterroles|rolebindings|roles|serviceaccounts)")

// Database is the topology once more, by hand: the first rule that matches.
func (s *libstorage) Database(k Key) string {
	switch {
	case rbacRule.MatchString(k.Resource) && rbacRule.MatchString(k.Path):
		return "rbac"
	case !k.Custom && k.Namespace == "kube-system":
		return "kube-system"
	case k.Resource == "pods":
		return "pods"
	case k.Custom && k.Resource == "stable.example.com/shirts":
		return "shirts"
	}
	return "default"
}
