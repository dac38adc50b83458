package crash

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libstorage/tests/crash/apiserver"
	"github.com/libstorage/tests/crash/harness"
	"github.com/libstorage/tests/crash/history"
	"github.com/libstorage/tests/crash/kubetarget"
)

// binary is a file below out/, or where the variable says.
func binary(t *testing.T, variable, path string) string {
	t.Helper()
	name := os.Getenv(variable)
	if name == "" {
		name = filepath.Join("..", "..", "out", path)
	}
	name, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Fatalf("%s is not built (build/kube/build.sh, or %s): %v", filepath.Base(name), variable, err)
	}
	return name
}

func kubeConfig(t *testing.T, rounds []harness.Round) harness.Config {
	c := config(t, rounds)
	c.AcksPerRound, c.StartTime = 400, 4*time.Second
	return c
}

// The control of the API's side: a stock kube-apiserver is killed in front of an
// etcd that lives. The watch cache is off: with it, a restart forgets the window
// of every watcher, which is upstream's behaviour and not the storage's.
func TestStockAPIServerKill(t *testing.T) {
	dir := t.TempDir()
	etcd, err := apiserver.StartEtcd(binary(t, "CRASH_ETCD", "tools/bin/etcd"), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Kill()
	server, err := apiserver.New(apiserver.Server{
		Binary: binary(t, "CRASH_STOCK_APISERVER", "kube/v1.32.0/stock/bin/kube-apiserver"), Dir: dir,
		Flags: []string{"--etcd-servers=" + etcd.URL, "--watch-cache=false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := kubeConfig(t, []harness.Round{{Strike: history.Kill}, {Strike: history.Stop}, {Strike: history.Kill}})
	target, err := kubetarget.New(server, "", c.Prefixes)
	if err != nil {
		t.Fatal(err)
	}
	if err := strike(t, c, target, nil); err != nil {
		t.Error(err)
	}
}
