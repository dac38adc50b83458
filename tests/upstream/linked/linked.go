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
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

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
	d := &databases{dir: dir, url: url, files: map[place]*database{}}
	factory.WrapForTest(facade.Record)
	backend := d.backend()
	storagebackend.RegisterBackend(storagebackend.StorageTypeUnset, backend)
	storagebackend.RegisterBackend(storagebackend.StorageTypeETCD3, backend)
	facade.Serve(listener, d)
	return os.Setenv(envURL, url)
}

// place is what upstream's storages have in common that share their keys.
type place struct{ servers, prefix string }

// databases has one for each place. Those of the facade's address are behind it.
type databases struct {
	dir, url string

	mu    sync.Mutex
	made  int
	files map[place]*database
}

type database struct {
	file     string
	storages int // that are open
}

func placeOf(c storagebackend.Config) place {
	return place{strings.Join(c.Transport.ServerList, ","), strings.Trim(c.Prefix, "/")}
}

// at is the database of a place. d.mu is held.
func (d *databases) at(p place) *database {
	if d.files[p] == nil {
		d.files[p] = &database{file: filepath.Join(d.dir, fmt.Sprintf("%d.db", d.made))}
		d.made++
		trace(p)
	}
	return d.files[p]
}

// hold keeps a place's database until release. An etcd that a test started for itself ends
// with the test's storages, and a later test may get its port: it must find nothing there.
func (d *databases) hold(p place) (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := d.at(p)
	held.storages++
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		held.storages--
		if held.storages == 0 && p.servers != d.url && d.files[p] == held {
			delete(d.files, p)
		}
	})
}

// configure turns a configuration for etcd into one of our storage.
func (d *databases) configure(c storagebackend.Config) storagebackend.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	file := d.at(placeOf(c)).file
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
	if _, err := fmt.Fprintln(file, at.servers, at.prefix); err != nil {
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
			release := d.hold(placeOf(c.Config))
			c.Config = d.configure(c.Config)
			created, destroy, err := ours.Create(c, newFunc, newListFunc, resourcePrefix)
			if err != nil {
				release()
				return nil, nil, err
			}
			return created, func() { destroy(); release() }, nil
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
