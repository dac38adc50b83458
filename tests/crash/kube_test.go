package crash

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libstorage/tests/crash/apiserver"
	"github.com/libstorage/tests/crash/dropfs"
	"github.com/libstorage/tests/crash/harness"
	"github.com/libstorage/tests/crash/kubetarget"
	"github.com/libstorage/tests/history"
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

// patched is our kube-apiserver with its files in a directory.
func patched(t *testing.T, data string, prefixes []string) *kubetarget.Target {
	t.Helper()
	server, err := apiserver.New(apiserver.Server{
		Binary: binary(t, "CRASH_APISERVER", "kube/v1.32.0/bin/kube-apiserver"), Dir: t.TempDir(), Work: data,
		Flags: []string{"--storage-backend=libstorage", "--etcd-servers=multi://sqlite://./default.db",
			"--metadata-store=sqlite://./meta.db", "--watch-cache=false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	target, err := kubetarget.New(server, filepath.Join(data, "meta.db*"), prefixes)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestAPIServerKill(t *testing.T) {
	c := kubeConfig(t, plan(history.Kill, rounds(2, 30)))
	if err := strike(t, c, patched(t, t.TempDir(), c.Prefixes), nil); err != nil {
		t.Error(err)
	}
}

func TestAPIServerPowerLoss(t *testing.T) {
	fs := mount(t, 0)
	c := kubeConfig(t, plan(history.Power, rounds(2, 30)))
	if err := strike(t, c, patched(t, fs.Mount, c.Prefixes), &harness.DropFS{FS: fs, KeepPercent: dropfs.DrawPercent}); err != nil {
		t.Error(err)
	}
}

func TestAPIServerPowerLossWithoutFsyncFails(t *testing.T) {
	binaries, err := dropfs.Build()
	if err != nil {
		t.Fatal(err)
	}
	fs := mount(t, 0)
	c := kubeConfig(t, []harness.Round{{Strike: history.Power}})
	target := patched(t, fs.Mount, c.Prefixes)
	target.Env("LD_PRELOAD=" + binaries.NoSync)
	mustBeRefuted(t, strike(t, c, target, &harness.DropFS{FS: fs, KeepPercent: 50}))
}

func TestAPIServerFullDisk(t *testing.T) {
	fs := mount(t, 0)
	c := kubeConfig(t, []harness.Round{{Strike: history.Full}, {Strike: history.Kill}})
	if err := strike(t, c, patched(t, fs.Mount, c.Prefixes), &harness.DropFS{FS: fs, KeepPercent: dropfs.DrawPercent}); err != nil {
		t.Error(err)
	}
}

func TestAPIServerNormalRestarts(t *testing.T) {
	c := kubeConfig(t, []harness.Round{{Strike: history.Stop}, {Strike: history.Stop}}[:rounds(1, 2)])
	if err := strike(t, c, patched(t, t.TempDir(), c.Prefixes), nil); err != nil {
		t.Error(err)
	}
}
