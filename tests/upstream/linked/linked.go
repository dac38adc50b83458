// Package linked, imported by a test binary of upstream, makes our storage the one that
// it runs on: every storage type that upstream's tests ask for ("" and "etcd3") is
// ours, and KUBE_INTEGRATION_ETCD_URL points to a facade of etcd over the same
// databases. With UPSTREAM_STORAGE=etcd it does nothing: then the same binary runs on
// etcd, by the paths that upstream has.
//
// It is compiled against the patched k8s.io/apiserver, by tests/upstream/prepare.sh,
// and never linked into what ships.
package linked

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/libstorage/go-shim/factory"
	"github.com/libstorage/go-shim/kv"
	"github.com/libstorage/tests/upstream/facade"
)

// What the runner tells the binary by its environment.
const (
	envStorage = "UPSTREAM_STORAGE" // "etcd": stay out of the way
	envData    = "UPSTREAM_DATA"    // where the databases go; default: a temporary directory
	envTrace   = "UPSTREAM_TRACE"   // file that gets a line for each database
	envURL     = "KUBE_INTEGRATION_ETCD_URL"
)

func init() {
	if os.Getenv(envStorage) == "etcd" {
		return
	}
	if err := start(); err != nil {
		panic(fmt.Sprintf("upstream's tests on our storage: %v", err))
	}
}

func start() error {
	dir, err := os.MkdirTemp(os.Getenv(envData), "upstream")
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	d := &databases{dir: dir, url: url, files: map[place]string{}}
	factory.WrapForTest(facade.Record)
	backend := d.backend()
	storagebackend.RegisterBackend(storagebackend.StorageTypeUnset, backend)
	storagebackend.RegisterBackend(storagebackend.StorageTypeETCD3, backend)
	facade.Serve(listener, d)
	return os.Setenv(envURL, url)
}

// place is what upstream's storages have in common that share their keys. A test that starts
// an etcd for itself may get the port of an earlier test's: it must find nothing there, so
// that etcd's own identity counts too.
type place struct{ servers, prefix, etcd string }

// identityOf asks the etcd at the first address which one it is; "" when none answers.
func identityOf(servers []string) string {
	if len(servers) == 0 || !strings.HasPrefix(servers[0], "http://") {
		return ""
	}
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Post(servers[0]+"/v3/maintenance/status", "application/json", strings.NewReader("{}"))
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	var status struct {
		Header struct {
			Cluster string `json:"cluster_id"`
			Member  string `json:"member_id"`
		} `json:"header"`
	}
	if json.NewDecoder(response.Body).Decode(&status) != nil {
		return ""
	}
	return status.Header.Cluster + "/" + status.Header.Member
}

// databases has one for each place. Those of the facade's address are behind it.
type databases struct {
	dir, url string

	mu    sync.Mutex
	files map[place]string
}

// configure turns a configuration for etcd into one of our storage.
func (d *databases) configure(c storagebackend.Config) storagebackend.Config {
	at := place{servers: strings.Join(c.Transport.ServerList, ","), prefix: strings.Trim(c.Prefix, "/")}
	if at.servers != d.url {
		at.etcd = identityOf(c.Transport.ServerList)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	file, ok := d.files[at]
	if !ok {
		file = filepath.Join(d.dir, fmt.Sprintf("%d.db", len(d.files)))
		d.files[at] = file
		trace(at)
	}
	c.Type = factory.StorageType
	c.Transport = storagebackend.TransportConfig{ServerList: []string{"multi://sqlite://" + file}}
	c.BackendOptions = nil
	return c
}

// trace lets the runner see that the tests did run on our storage.
func trace(at place) {
	path := os.Getenv(envTrace)
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	if _, err := fmt.Fprintln(file, at.servers, at.prefix, at.etcd); err != nil {
		panic(err)
	}
}

// Roots implements facade.Databases.
func (d *databases) Roots() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var roots []string
	for at := range d.files {
		if at.servers == d.url {
			roots = append(roots, rootOf(at.prefix))
		}
	}
	return roots
}

func rootOf(prefix string) string {
	if prefix == "" {
		return "/"
	}
	return "/" + prefix + "/"
}

// Open implements facade.Databases.
func (d *databases) Open(root string) (kv.Store, func(), error) {
	c := storagebackend.Config{Prefix: strings.Trim(root, "/")}
	c.Transport.ServerList = []string{d.url}
	return factory.OpenForTest(d.configure(c))
}

// backend is ours behind configure. It has no flags and no rules of its own, and its
// health checks have upstream's names.
func (d *databases) backend() *storagebackend.Backend {
	ours := factory.Backend
	return &storagebackend.Backend{
		Create: func(c storagebackend.ConfigForResource, newFunc, newListFunc func() runtime.Object, resourcePrefix string) (storage.Interface, func(), error) {
			c.Config = d.configure(c.Config)
			return ours.Create(c, newFunc, newListFunc, resourcePrefix)
		},
		HealthCheck: func(c storagebackend.Config, stopCh <-chan struct{}) (func() error, error) {
			return ours.HealthCheck(d.configure(c), stopCh)
		},
		ReadyCheck: func(c storagebackend.Config, stopCh <-chan struct{}) (func() error, error) {
			return ours.ReadyCheck(d.configure(c), stopCh)
		},
		Prober: func(c storagebackend.Config) (storagebackend.Prober, error) {
			return ours.Prober(d.configure(c))
		},
		Monitor: func(c storagebackend.Config) (metrics.Monitor, error) {
			return ours.Monitor(d.configure(c))
		},
	}
}
