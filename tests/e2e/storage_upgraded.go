package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/libstorage/go-shim/testserver"
)

// upgraded is a stock etcd that became the default database of a patched API server as it
// stood there; later a topology takes objects away from it, to databases of every other kind.
type upgraded struct {
	libstorage
	etcd     *stockEtcd
	topology bool // whether it has one yet
}

const upgradedRules = `backends:
- {name: rbac, endpoint: %q, regexp: {prefix: ^(clusterrolebindings|clusterroles|rolebindings|roles|serviceaccounts)$}}
- {name: kube-system, endpoint: %q, namespace: {namespace: kube-system}}
- {name: shirts, endpoint: "sqlite://./db/shirts.db", customresource: {group: stable.example.com}}
- {name: secrets, endpoint: "sqlite://./db/secrets.db", prefix: {prefix: secrets}}
`

func (s *upgraded) file() string { return filepath.Join(s.dir, "topology.yaml") }

// writeTopology starts the databases on servers that it names.
func (s *upgraded) writeTopology(t *testing.T) {
	pg, my := testserver.StartPostgres(t), testserver.StartMariaDB(t)
	pg.Create(t, "rbac_objects")
	my.Create(t, "kube_system")
	text := fmt.Sprintf(upgradedRules, pg.Endpoint("rbac_objects"), my.Endpoint("kube_system"))
	if err := os.WriteFile(s.file(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.topology = true
}

func (s *upgraded) places() []string { return []string{"--default=" + s.etcd.url} }

func (s *upgraded) Flags() []string {
	flags := []string{"--storage-backend=libstorage", "--etcd-servers=multi://" + s.etcd.url}
	if s.topology {
		flags = append(flags, "--topology-config="+s.file())
	}
	return flags
}

// run is stgctl, where the API server runs.
func (s *upgraded) run(args ...string) ([]byte, error) {
	cmd := exec.Command(s.stgctl, append(args, s.places()...)...)
	cmd.Dir = s.dir
	output, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("stgctl %v: %w: %s", args, err, output)
	}
	return output, nil
}
