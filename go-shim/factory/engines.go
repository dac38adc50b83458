package factory

import (
	"errors"
	"fmt"
	"sync"

	"k8s.io/klog/v2"

	"github.com/libstorage/go-shim/factory/kvmetrics"
	"github.com/libstorage/go-shim/kv"
	"github.com/libstorage/go-shim/native"
)

// open is what tests replace.
var open = func(s settings) (kv.Store, error) {
	store, err := native.Open(s.native())
	if err != nil {
		return nil, err
	}
	return store, nil
}

// engine is one open kv.Store, shared by all storages of equal settings. It is
// closed when nobody holds it any more, or when every server that it serves has
// drained: not all storages of a kube-apiserver are destroyed at its end, and
// without a close the databases have no clean mark.
type engine struct {
	kv.Store
	settings settings
	closed   chan struct{}
	remove   func() // from the metrics

	// Guarded by engines.
	refs, servers int
	closing       bool
}

// engines are the open ones. The lock is held while one is opened, so that no
// two of this process open the same files.
var engines = struct {
	sync.Mutex
	m map[settings]*engine
}{m: map[settings]*engine{}}

// acquire opens the engine of the settings, or joins those who have it.
func acquire(s settings) (*engine, error) {
	engines.Lock()
	defer engines.Unlock()
	for e := engines.m[s]; e != nil; e = engines.m[s] {
		if !e.closing {
			e.refs++
			return e, nil
		}
		engines.Unlock()
		<-e.closed // its files are locked until then
		engines.Lock()
	}
	store, err := open(s)
	if err != nil {
		return nil, fmt.Errorf("opening the storage: %w", err)
	}
	klog.InfoS("Storage is open", "topology", s.topology, "default", redact(s.endpoint),
		"metadata", redact(s.metadata), "backends", store.Backends(), "library", native.Version())
	e := &engine{Store: store, settings: s, refs: 1, closed: make(chan struct{}), remove: kvmetrics.Add(store, native.Version())}
	engines.m[s] = e
	return e, nil
}

// join holds an engine that is open already: what only looks at the storage does
// not open it again when the server is on its way out.
func join(s settings) (*engine, error) {
	engines.Lock()
	defer engines.Unlock()
	e := engines.m[s]
	if e == nil || e.closing {
		return nil, errors.New("the storage is not open")
	}
	e.refs++
	return e, nil
}

// release ends one hold. On an engine that is being closed it waits: a process
// whose last act is to destroy its storages then ends after the clean mark.
func (e *engine) release() {
	engines.Lock()
	e.refs--
	last := e.refs == 0 && !e.closing
	e.closing = e.closing || last
	closing := e.closing
	engines.Unlock()
	if last {
		e.shut()
	}
	if closing {
		<-e.closed
	}
}

// serve makes the hold of the caller that of a server, until stopCh closes.
func (e *engine) serve(stopCh <-chan struct{}) {
	engines.Lock()
	e.servers++
	engines.Unlock()
	go func() {
		<-stopCh
		engines.Lock()
		e.servers--
		last := e.servers == 0 && !e.closing
		e.closing = e.closing || last
		engines.Unlock()
		if last {
			e.shut()
			return
		}
		e.release()
	}()
}

// shut closes the engine; the caller has set closing.
func (e *engine) shut() {
	e.remove()
	if err := e.Store.Close(); err != nil {
		klog.ErrorS(err, "Storage did not close cleanly: the next start checks it")
	} else {
		klog.InfoS("Storage is closed")
	}
	engines.Lock()
	delete(engines.m, e.settings)
	engines.Unlock()
	close(e.closed)
}
