package e2e

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libstorage/go-shim/testserver"
)

// servers keeps objects in every kind of database at once, as the users' example
// does: RBAC in etcd, kube-system in MariaDB, pods in PostgreSQL, shirts in SQLite;
// the default is PostgreSQL.
type servers struct {
	libstorage
	shared bool // by several API servers: no rule has a file
	t      testing.TB
	etcd   *stockEtcd                    // of rbac
	kinds  map[string]*testserver.Server // by backend; shirts is a file
}

const networkRules = `backends:
- endpoint: %s
  regexp:
    name: rbac
    prefix: (clusterrolebindings|clusterroles|rolebindings|roles|serviceaccounts)
    key: (clusterrolebindings|clusterroles|rolebindings|roles|serviceaccounts)
- endpoint: %s
  namespace:
    name: kube-system
    namespace: kube-system
- endpoint: %s
  prefix:
    name: pods
    prefix: pods
`

const shirtsRule = `- endpoint: sqlite://./db/shirts.db?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate
  customresource:
    name: shirts
    group: stable.example.com
    kind: shirts
  compactInterval: 2s
`

func databaseOf(backend string) string {
	if backend == "kube-system" {
		return "kube_system"
	}
	return backend + "_objects" // "default" is a word of SQL
}

func (s *servers) Start(dir string) error {
	s.dir = dir
	if err := s.etcd.Start(dir); err != nil {
		return err
	}
	pg, my := testserver.StartPostgres(s.t), testserver.StartMariaDB(s.t)
	s.kinds = map[string]*testserver.Server{"kube-system": my, "pods": pg, "default": pg}
	for backend, server := range s.kinds {
		server.Create(s.t, databaseOf(backend))
	}
	text := fmt.Sprintf(networkRules, s.etcd.url, s.endpoint("kube-system"), s.endpoint("pods"))
	if !s.shared {
		text += shirtsRule
	}
	return os.WriteFile(filepath.Join(dir, "topology.yaml"), []byte(text), 0o600)
}

func (s *servers) endpoint(backend string) string {
	return s.kinds[backend].Endpoint(databaseOf(backend))
}

func (s *servers) Stop() error { return s.etcd.Stop() }

// Flags: the endpoint of the default database stands in a file, as its password should.
func (s *servers) Flags() []string {
	file := filepath.Join(s.dir, "default-endpoint")
	if err := os.WriteFile(file, []byte(s.endpoint("default")), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return []string{"--storage-backend=libstorage", "--topology-config=" + filepath.Join(s.dir, "topology.yaml"),
		"--etcd-servers=multi://file://" + file}
}

// Backup: what stgctl copies is files.
func (s *servers) Backup(string) (bool, error)      { return false, nil }
func (s *servers) Restore(string) ([]string, error) { return nil, nil }

func (s *servers) Metrics() []string {
	return []string{"libstorage_revision ", `libstorage_backend_up{backend="pods",kind="postgres"} 1`,
		`libstorage_backend_up{backend="rbac",kind="etcd"} 1`, `libstorage_backend_up{backend="kube-system",kind="mysql"} 1`, `libstorage_backend_up{backend="shirts",kind="sqlite"} 1`,
		`libstorage_objects{backend="shirts",collection="stable.example.com/shirts"} 20`}
}

// Dirs of the servers hold every byte that they wrote.
func (s *servers) DataDirs() []string {
	return []string{filepath.Join(s.dir, "db"), s.etcd.dir, s.kinds["pods"].Dir(), s.kinds["kube-system"].Dir()}
}

func (s *servers) rows(backend, column string, where func(key string) string) ([]string, error) {
	if backend == "shirts" {
		return s.sqlite(backend, fmt.Sprintf("SELECT hex(%s) FROM objects%s", column, where("hex(key)")))
	}
	sql := fmt.Sprintf("SELECT encode(%s, 'hex') FROM libstorage.objects%s", column, where("upper(encode(key, 'hex'))"))
	if backend == "kube-system" { // key is a word of MariaDB's SQL
		sql = fmt.Sprintf("SELECT hex(%s) FROM stg_objects%s", strings.Replace(column, "key", "k", 1), where("hex(k)"))
	}
	lines, err := s.kinds[backend].Query(databaseOf(backend), sql)
	for i, line := range lines {
		text, err := hex.DecodeString(line)
		if err != nil {
			return nil, err
		}
		lines[i] = string(text)
	}
	return lines, err
}

// Keys asks etcd, psql, mariadb and sqlite3, not our own code.
func (s *servers) Keys() (map[string][]string, error) {
	inEtcd, err := s.etcd.Keys()
	if err != nil {
		return nil, err
	}
	all := map[string][]string{"rbac": inEtcd["etcd"]}
	for _, backend := range databases[1:] {
		keys, err := s.rows(backend, "key", func(string) string { return "" })
		if err != nil {
			return nil, err
		}
		all[backend] = keys
	}
	return all, nil
}

func (s *servers) Values(key string) ([]string, error) {
	all, err := s.etcd.Values(key)
	if err != nil {
		return nil, err
	}
	this := func(column string) string { return fmt.Sprintf(" WHERE %s = '%X'", column, key) }
	for _, backend := range databases[1:] {
		values, err := s.rows(backend, "value", this)
		if err != nil {
			return nil, err
		}
		all = append(all, values...)
	}
	return all, nil
}
