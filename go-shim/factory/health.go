package factory

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// namedChecks opens the storage, before anything else does, and says what each
// endpoint asks: livez the engine itself, readyz what every request needs,
// healthz each database. One dead side database must not get the server
// restarted or taken out of service.
func namedChecks(c storagebackend.Config, stopCh <-chan struct{}) (storagebackend.NamedChecks, error) {
	e, err := hold(c, stopCh)
	if err != nil {
		return storagebackend.NamedChecks{}, err
	}
	timeout := orDefault(c.HealthcheckTimeout, storagebackend.DefaultHealthcheckTimeout)
	ready := orDefault(c.ReadycheckTimeout, storagebackend.DefaultReadinessTimeout)
	checks := storagebackend.NamedChecks{
		Livez: []healthz.HealthChecker{e.named("storage-engine", "engine", timeout)},
		Readyz: []healthz.HealthChecker{
			e.named("storage-metadata", "metadata", ready),
			e.named("storage-default", "default", ready),
		},
	}
	for _, backend := range e.Backends() {
		checks.Healthz = append(checks.Healthz, e.named("storage-"+backend, backend, timeout))
	}
	return checks, nil
}

// hold opens the storage for a server.
func hold(c storagebackend.Config, stopCh <-chan struct{}) (*engine, error) {
	s, err := settingsOf(&c)
	if err != nil {
		return nil, err
	}
	e, err := acquire(s)
	if err != nil {
		return nil, err
	}
	markActive()
	e.serve(stopCh)
	return e, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func (e *engine) named(name, check string, timeout time.Duration) healthz.HealthChecker {
	ask := e.throttled(check, timeout)
	return healthz.NamedCheck(name, func(*http.Request) error { return ask() })
}

// throttled asks the database at most every half of the timeout: what probes
// from all sides would else do. In between the last answer stands.
func (e *engine) throttled(check string, timeout time.Duration) func() error {
	var mu sync.Mutex
	var asked time.Time
	var last error
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(asked) >= timeout/2 {
			last = e.Check(check)
			asked = time.Now()
		}
		return last
	}
}

// healthCheck and readyCheck are for servers that do not ask for named checks.
func healthCheck(c storagebackend.Config, stopCh <-chan struct{}) (func() error, error) {
	e, err := hold(c, stopCh)
	if err != nil {
		return nil, err
	}
	return e.throttled("engine", orDefault(c.HealthcheckTimeout, storagebackend.DefaultHealthcheckTimeout)), nil
}

func readyCheck(c storagebackend.Config, stopCh <-chan struct{}) (func() error, error) {
	e, err := hold(c, stopCh)
	if err != nil {
		return nil, err
	}
	return e.throttled("default", orDefault(c.ReadycheckTimeout, storagebackend.DefaultReadinessTimeout)), nil
}

// proberMonitor is upstream's view of the storage as one server.
type proberMonitor struct {
	e     *engine
	close func()
}

func newProberMonitor(c storagebackend.Config) (*proberMonitor, error) {
	s, err := settingsOf(&c)
	if err != nil {
		return nil, err
	}
	e, err := join(s)
	if err != nil {
		return nil, err
	}
	return &proberMonitor{e: e, close: sync.OnceFunc(e.release)}, nil
}

func newProber(c storagebackend.Config) (storagebackend.Prober, error) {
	p, err := newProberMonitor(c)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func newMonitor(c storagebackend.Config) (metrics.Monitor, error) {
	p, err := newProberMonitor(c)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Close implements storagebackend.Prober and metrics.Monitor.
func (p *proberMonitor) Close() error {
	p.close()
	return nil
}

// Probe implements storagebackend.Prober.
func (p *proberMonitor) Probe(context.Context) error { return p.e.Check("default") }

// Monitor implements metrics.Monitor: the size of all databases.
func (p *proberMonitor) Monitor(context.Context) (metrics.StorageMetrics, error) {
	text, err := p.e.StatsJSON()
	if err != nil {
		return metrics.StorageMetrics{}, err
	}
	var stats struct {
		Backends []struct {
			FileBytes int64 `json:"file_bytes"`
		} `json:"backends"`
	}
	if err := json.Unmarshal(text, &stats); err != nil {
		return metrics.StorageMetrics{}, fmt.Errorf("reading the storage's numbers: %w", err)
	}
	var size metrics.StorageMetrics
	for _, b := range stats.Backends {
		size.Size += b.FileBytes
	}
	return size, nil
}
