package factory

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"
	etcdfeature "k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/libstorage/go-shim/kv"
)

// fakeStore is what the factory needs of a kv.Store.
type fakeStore struct {
	kv.Store
	mu     sync.Mutex
	down   map[string]bool
	asked  int
	closed bool
	slow   chan struct{} // Close waits for it
}

func (f *fakeStore) Check(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.down[name] {
		return errors.New(name + " is down")
	}
	return nil
}

func (f *fakeStore) Backends() []string { return []string{"default", "shirts"} }
func (f *fakeStore) StatsJSON() ([]byte, error) {
	return []byte(`{"backends":[{"name":"default","file_bytes":100},{"name":"shirts","file_bytes":11}]}`), nil
}
func (f *fakeStore) Register(kv.Resource) (kv.ResourceID, error) { return 1, nil }

func (f *fakeStore) Close() error {
	if f.slow != nil {
		<-f.slow
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

func (f *fakeStore) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// fakeOpen counts what is opened, until the end of the test.
func fakeOpen(t *testing.T) *[]*fakeStore {
	var opened []*fakeStore
	before := open
	open = func(s settings) (kv.Store, error) {
		if s.topology == "wrong.yaml" {
			return nil, errors.New("wrong.yaml:1:1: no")
		}
		f := &fakeStore{}
		opened = append(opened, f)
		return f, nil
	}
	t.Cleanup(func() {
		open = before
		engines.Lock()
		defer engines.Unlock()
		if len(engines.m) != 0 {
			t.Errorf("%d engines are left open", len(engines.m))
			clear(engines.m)
		}
	})
	return &opened
}

func TestEnginesAreShared(t *testing.T) {
	opened := fakeOpen(t)
	one, two := settings{topology: "a"}, settings{topology: "b"}
	a, _ := acquire(one)
	b, _ := acquire(one)
	c, _ := acquire(two)
	if a != b || a == c || len(*opened) != 2 {
		t.Errorf("%d engines are open", len(*opened))
	}
	a.release()
	if (*opened)[0].isClosed() {
		t.Error("closed while in use")
	}
	b.release()
	c.release()
	if !(*opened)[0].isClosed() || !(*opened)[1].isClosed() {
		t.Error("not closed after use")
	}
	if _, err := join(one); err == nil {
		t.Error("joined what is closed")
	}
	d, _ := acquire(one) // and open again
	if len(*opened) != 3 {
		t.Errorf("%d engines were opened", len(*opened))
	}
	if e, err := join(one); err != nil || e != d {
		t.Errorf("joined %v, %v", e, err)
	}
	d.release()
	d.release()
}

// TestDrainedServerCloses: also with storages that nobody destroys, and what is
// destroyed after that waits for the clean end.
func TestDrainedServerCloses(t *testing.T) {
	opened := fakeOpen(t)
	var s settings
	first, second := make(chan struct{}), make(chan struct{})
	e, _ := acquire(s)
	e.serve(first)
	_, _ = acquire(s)
	e.serve(second)
	_, _ = acquire(s) // a storage that leaks
	_, _ = acquire(s) // a storage that is destroyed late
	f := (*opened)[0]
	f.slow = make(chan struct{})
	close(first)
	eventually(t, "the first server has drained", func() bool { return e.servers == 1 })
	engines.Lock()
	closing := e.closing // set in the same step as servers, if at all
	engines.Unlock()
	if closing {
		t.Fatal("closed while a server runs")
	}
	close(second)
	// The last storage of the process is destroyed when the server has drained.
	eventually(t, "the last server has drained", func() bool { return e.closing })
	released := make(chan struct{})
	go func() {
		e.release()
		close(released)
	}()
	select {
	case <-released:
		t.Fatal("the storage was destroyed before the engine was closed")
	case <-time.After(50 * time.Millisecond):
	}
	again := make(chan *engine)
	go func() {
		e, _ := acquire(s) // waits for the files
		again <- e
	}()
	close(f.slow)
	<-released
	if !f.isClosed() {
		t.Error("not closed")
	}
	(<-again).release()
}

func TestOpenErrors(t *testing.T) {
	fakeOpen(t)
	c := config(StorageType)
	c.BackendOptions = &Options{TopologyConfig: "wrong.yaml"}
	_, err := namedChecks(c, nil)
	if err == nil || err.Error() != "opening the storage: wrong.yaml:1:1: no" {
		t.Errorf("got %v", err)
	}
}

func TestNamedChecks(t *testing.T) {
	opened := fakeOpen(t)
	stop := make(chan struct{})
	c := config(StorageType)
	c.HealthcheckTimeout, c.ReadycheckTimeout = time.Nanosecond, time.Nanosecond // ask each time
	checks, err := namedChecks(c, stop)
	if err != nil {
		t.Fatal(err)
	}
	f := (*opened)[0]
	failing := func(list []healthz.HealthChecker) string {
		text := ""
		for _, check := range list {
			state := " up "
			if check.Check(&http.Request{}) != nil {
				state = " down "
			}
			text += check.Name() + state
		}
		return text
	}
	for _, tc := range []struct{ down, livez, readyz, healthz string }{
		{"", "storage-engine up ", "storage-metadata up storage-default up ", "storage-default up storage-shirts up "},
		{"shirts", "storage-engine up ", "storage-metadata up storage-default up ", "storage-default up storage-shirts down "},
		{"metadata", "storage-engine up ", "storage-metadata down storage-default up ", "storage-default up storage-shirts up "},
		{"engine", "storage-engine down ", "storage-metadata up storage-default up ", "storage-default up storage-shirts up "},
	} {
		f.mu.Lock()
		f.down = map[string]bool{tc.down: true}
		f.mu.Unlock()
		if l, r, h := failing(checks.Livez), failing(checks.Readyz), failing(checks.Healthz); l != tc.livez || r != tc.readyz || h != tc.healthz {
			t.Errorf("%q down: %s| %s| %s", tc.down, l, r, h)
		}
	}
	close(stop)
	eventually(t, "the store is closed", f.isClosed)
	waitClosed(t)
}

// eventually waits for a condition on what engines guards.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 5000 {
		engines.Lock()
		done := holds()
		engines.Unlock()
		if done {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// waitClosed waits until no engine is open.
func waitClosed(t *testing.T) {
	t.Helper()
	eventually(t, "all engines are closed", func() bool { return len(engines.m) == 0 })
}

func TestChecksAreThrottled(t *testing.T) {
	opened := fakeOpen(t)
	stop := make(chan struct{})
	c := config(StorageType)
	c.HealthcheckTimeout = time.Hour
	check, err := healthCheck(c, stop)
	if err != nil {
		t.Fatal(err)
	}
	f := (*opened)[0]
	for range 100 {
		if err := check(); err != nil {
			t.Fatal(err)
		}
	}
	if f.asked != 1 {
		t.Errorf("asked the database %d times", f.asked)
	}
	close(stop)
	waitClosed(t)
}

func TestProberAndMonitor(t *testing.T) {
	fakeOpen(t)
	c := config(StorageType)
	if _, err := newMonitor(c); err == nil {
		t.Error("a scrape opened the storage")
	}
	if _, err := newProber(c); err == nil {
		t.Error("a probe opened the storage")
	}
	e, _ := acquire(mustSettings(t, c))
	p, err := newProber(c)
	if err != nil || p.Probe(context.Background()) != nil {
		t.Errorf("probe: %v", err)
	}
	m, err := newMonitor(c)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Monitor(context.Background()); err != nil || got != (metrics.StorageMetrics{Size: 111}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for range 2 { // upstream closes as often as it likes
		_ = p.Close()
		_ = m.Close()
	}
	e.release()
}

func mustSettings(t *testing.T, c storagebackend.Config) settings {
	s, err := settingsOf(&c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFeatures(t *testing.T) {
	checker := etcdfeature.DefaultFeatureSupportChecker
	if _, ok := checker.(features); !ok {
		t.Fatalf("the checker is %T", checker)
	}
	active.Store(false)
	if checker.Supports(storage.RequestWatchProgress) {
		t.Error("answers for etcd")
	}
	markActive()
	if !checker.Supports(storage.RequestWatchProgress) || checker.Supports("something else") {
		t.Error("does not know what our storage can")
	}
}
