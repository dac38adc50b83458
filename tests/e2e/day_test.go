package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

type step struct {
	name string
	run  func(t *testing.T, c *Cluster)
}

// life runs side by side on one cluster, each step in namespaces of its own.
var life = []step{
	{"Shirts", stepShirts},
	{"Deployment", stepDeployment},
	{"EventTTL", stepEventTTL},
	{"NamespaceOf500", stepNamespaceOf500},
	{"StatefulSet", stepStatefulSet},
	{"Jobs", stepJobs},
	{"Services", stepServices},
	{"RBAC", stepRBAC},
	{"OwnerCascades", stepOwnerCascades},
	{"LeaderElection", stepLeaderElection},
	{"ServerSideApply", stepServerSideApply},
	{"KubectlWatch", stepKubectlWatch},
	{"Secrets", stepSecrets},
}

// evening runs one after the other, from a busy cluster to files at rest.
var evening = []step{
	{"Health", stepHealth},
	{"Metrics", stepMetrics},
	{"SecondServerRefused", stepSecondServer},
	{"ListsAcrossRestart", stepRestart},
	{"BackupRestored", stepBackup},
	{"ListsAcrossCompaction", stepCompaction},
	{"ObjectsInTheirFiles", stepFiles},
	{"SecretsInNoFile", stepCiphertext},
}

func TestMain(m *testing.M) {
	// Informers of this process stream their first list.
	os.Setenv("KUBE_FEATURE_WatchListClient", "true")
	klog.SetLogger(logr.Discard()) // failures speak for themselves
	os.Exit(m.Run())
}

func TestDay(t *testing.T) {
	variants, err := ChosenVariants()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variants {
		t.Run(v.Name, func(t *testing.T) { day(t, v) })
	}
}

func day(t *testing.T, v Variant) {
	c := startCluster(t, v)
	if !t.Run("Nodes", func(t *testing.T) { stepNodes(t, c) }) {
		t.Fatal("nothing works without nodes")
	}
	if !t.Run("CRD", func(t *testing.T) { stepCRD(t, c) }) {
		t.Fatal("nothing works without the CRD")
	}
	recorder := startRecorder(t, c)
	t.Run("Life", func(t *testing.T) {
		for _, s := range life {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				timed(t, c, s)
			})
		}
	})
	t.Run("WatchesMissedNothing", recorder.check)
	for _, s := range evening {
		t.Run(s.name, func(t *testing.T) { timed(t, c, s) })
	}
}

func timed(t *testing.T, c *Cluster, s step) {
	began := time.Now()
	s.run(t, c)
	t.Logf("%.1f s", time.Since(began).Seconds())
}

func storageOf(t *testing.T, kind string) Storage {
	etcd := &stockEtcd{binary: filepath.Join(tools(t), "etcd")}
	switch kind {
	case "libstorage":
		return &libstorage{}
	case "servers":
		return &servers{t: t, etcd: etcd}
	case "shared":
		return &servers{t: t, etcd: etcd, shared: true}
	case "etcd":
		return etcd
	}
	t.Fatalf("E2E_STORAGE=%s: want libstorage, servers or etcd", kind)
	return nil
}

func root(t *testing.T) string { return must[string](t)(filepath.Abs("../..")) }

func tools(t *testing.T) string {
	return envOr("E2E_TOOLS", filepath.Join(root(t), "out/tools/bin"))
}

// newCluster with its databases; nothing else runs yet.
func newCluster(t *testing.T, v Variant, storage Storage) *Cluster {
	t.Helper()
	dir := filepath.Join(envOr("E2E_DIR", filepath.Join(root(t), "out/e2e")), v.Name)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := storage.Start(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = storage.Stop() })
	out := envOr("KUBE_OUT", filepath.Join(root(t), "out/kube/v1.32.0"))
	c := must[*Cluster](t)(NewCluster(dir, out, tools(t), v, storage))
	t.Cleanup(c.Close)
	return c
}

func startCluster(t *testing.T, v Variant) *Cluster {
	t.Helper()
	c := newCluster(t, v, storageOf(t, envOr("E2E_STORAGE", "libstorage")))
	began := time.Now()
	if err := c.StartAPIServer(); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %.1f s; logs in %s", time.Since(began).Seconds(), c.Dir)
	if err := c.StartControllers(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of kube-apiserver.log:\n%s", c.api.Tail(25))
		}
	})
	return c
}

func envOr(name, value string) string {
	if set := os.Getenv(name); set != "" {
		return set
	}
	return value
}

// stepHealth: one check a backend in healthz; a side backend must not decide
// whether the server is restarted (livez) or gets traffic (readyz).
func stepHealth(t *testing.T, c *Cluster) {
	ctx := context.Background()
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		text := must[[]byte](t)(c.Raw(ctx, path))
		if string(text) != "ok" {
			t.Errorf("%s says %q", path, text)
		}
	}
	sides, central := c.Storage.Checks()
	healthz := string(must[[]byte](t)(c.Raw(ctx, "/healthz?verbose")))
	for _, check := range append(append([]string{}, sides...), central...) {
		if strings.Count(healthz, "[+]"+check+" ok") != 1 {
			t.Errorf("healthz?verbose does not name %s once:\n%s", check, healthz)
		}
	}
	for _, path := range []string{"/livez?verbose", "/readyz?verbose"} {
		text := string(must[[]byte](t)(c.Raw(ctx, path)))
		for _, check := range sides {
			if strings.Contains(text, "]"+check+" ") {
				t.Errorf("%s depends on the side backend check %s:\n%s", path, check, text)
			}
		}
	}
}

// stepMetrics: a scrape names what the storage promises.
func stepMetrics(t *testing.T, c *Cluster) {
	text := string(must[[]byte](t)(c.Raw(context.Background(), "/metrics")))
	for _, want := range c.Storage.Metrics() {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("/metrics has no line that begins %q", want)
		}
	}
}

// stepSecondServer: files that another server writes are refused, and the
// message names the holder.
func stepSecondServer(t *testing.T, c *Cluster) {
	if !c.Storage.OneServer() {
		return // etcd serves several
	}
	ports := must[[]int](t)(freePorts(1))
	second := must[*Process](t)(StartProcess(c.Dir, "second-apiserver", c.Storage.Env(), c.Storage.APIServer(c.Out),
		c.apiFlags(ports[0], filepath.Join(c.Dir, "second-certs"))...))
	defer second.Kill()
	err := second.Wait(60 * time.Second)
	if err == nil || err.Error() == "still running" {
		t.Fatalf("a second API server on the same files: %v\n%s", err, second.Tail(10))
	}
	if pid := itoa(c.api.cmd.Process.Pid); !strings.Contains(second.Output(), pid) {
		t.Errorf("the refusal does not name the holder, process %s:\n%s", pid, second.Tail(10))
	}
	if _, err := c.Raw(context.Background(), "/readyz"); err != nil {
		t.Errorf("the first server suffered: %v", err)
	}
}
