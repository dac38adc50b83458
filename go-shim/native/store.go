//go:build cgo

package native

// #include "shim.h"
import "C"

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/libstorage/go-shim/kv"
)

// Store is an open engine. It implements kv.Store.
type Store struct {
	engine   *C.stg_engine
	backends []string

	// refs counts what needs the engine's memory: 1 until Close, each call in
	// progress, each result and batch that was not released, each open watch.
	refs   atomic.Int64
	slabs  atomic.Int64 // results and batches not released
	closed atomic.Bool
	free   sync.Once

	closing  sync.Once
	closeErr error

	calls    callTable
	watches  watchTable
	dispatch *dispatcher
	logs     *logPump

	// Each goroutine inside C holds an OS thread. inside bounds those in short
	// calls (one that the kernel preempts there is replaced by another thread),
	// blocking those that may wait for a database (checks, Register, Watch).
	inside   chan struct{}
	blocking chan struct{}
}

var _ kv.Store = (*Store)(nil)

const maxBlocking = 16

// maxInside leaves room for point reads that wait for a disk.
func maxInside() int { return min(max(32, 4*runtime.GOMAXPROCS(0)), 128) }

// Version of the library that this process is linked to.
func Version() string { return C.GoString(C.stg_version()) }

// Open opens the engine behind a topology. Close it.
func Open(opts Options) (*Store, error) {
	s := &Store{inside: make(chan struct{}, maxInside()), blocking: make(chan struct{}, maxBlocking)}
	if err := s.open(&opts); err != nil {
		return nil, err
	}
	s.refs.Store(1)
	var err error
	s.logs = startLogs(opts.Log)
	if s.dispatch, err = startDispatcher(s); err != nil {
		s.logs.stop()
		C.stg_engine_close(s.engine, nil)
		return nil, err
	}
	if s.backends, err = s.readBackends(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func fillTLS(texts *cStrings, to *C.stg_tls, from TLS) {
	to.ca_file = texts.optional(from.CAFile)
	to.cert_file = texts.optional(from.CertFile)
	to.key_file = texts.optional(from.KeyFile)
	if from.SkipVerify {
		to.skip_verify = 1
	}
}

func (s *Store) open(opts *Options) error {
	var texts cStrings
	defer texts.free()
	var o C.stg_options
	o.struct_size = C.uint32_t(unsafe.Sizeof(o))
	o.abi_major, o.abi_minor = C.STG_ABI_MAJOR, C.STG_ABI_MINOR
	o.topology_path = texts.optional(opts.TopologyPath)
	o.topology_text = texts.optional(opts.TopologyText)
	o.default_endpoint = texts.optional(opts.DefaultEndpoint)
	o.metadata_endpoint = texts.optional(opts.MetadataEndpoint)
	fillTLS(&texts, &o.default_tls, opts.DefaultTLS)
	fillTLS(&texts, &o.metadata_tls, opts.MetadataTLS)
	switch {
	case opts.HistoryMillis == 0:
		o.history_ms = -1
	case opts.HistoryMillis > 0:
		o.history_ms = C.int64_t(opts.HistoryMillis)
	}
	o.history_bytes = C.int64_t(opts.HistoryBytes)
	o.max_value_bytes = C.int64_t(opts.MaxValueBytes)
	o.slow_sql_ms = C.int64_t(opts.SlowSQLMillis)
	o.buffer_budget_bytes = C.int64_t(opts.BufferBudgetBytes)
	o.ring_bytes = C.int64_t(opts.RingBytes)
	if opts.Restored {
		o.flags |= C.STG_OPEN_RESTORED
	}
	if opts.AllowMemory {
		o.flags |= C.STG_OPEN_ALLOW_MEMORY
	}
	if opts.Poison {
		o.flags |= C.STG_OPEN_POISON
	}
	var e C.stg_error
	if code := C.stg_engine_open(&o, &s.engine, &e); code != C.STG_CODE_OK {
		return errorOf(&e)
	}
	return nil
}

// Close ends every call and watch with ErrClosed and closes the databases. The
// engine's memory goes with the last result that is released. Idempotent; a
// second caller waits for the first.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		var e C.stg_error
		if code := C.stg_engine_shutdown(s.engine, &e); code != C.STG_CODE_OK {
			s.closeErr = errorOf(&e)
		}
		s.dispatch.stop() // after it has delivered what the shutdown completed
		s.watches.closeAll()
		s.logs.stop()
		s.unref()
	})
	return s.closeErr
}

// enter is the begin of every call into the engine; pair it with unref.
func (s *Store) enter() error {
	s.refs.Add(1)
	if s.closed.Load() {
		s.unref()
		return kv.ErrClosed
	}
	return nil
}

func (s *Store) unref() {
	if s.refs.Add(-1) == 0 {
		// Twice zero is possible: an enter that comes too late takes it up and down.
		s.free.Do(func() { C.stg_engine_close(s.engine, nil) })
	}
}

// Register tells the engine of a resource. The same resource has the same id.
func (s *Store) Register(r kv.Resource) (kv.ResourceID, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.unref()
	s.blocking <- struct{}{}
	defer func() { <-s.blocking }()
	var texts cStrings
	defer texts.free()
	var c C.stg_resource
	c.struct_size = C.uint32_t(unsafe.Sizeof(c))
	c.group, c.resource, c.kind = texts.add(r.Group), texts.add(r.Resource), texts.add(r.Kind)
	c.root, c.key_prefix = texts.add(r.Root), texts.add(r.KeyPrefix)
	if r.Namespaced {
		c.flags |= C.STG_RESOURCE_NAMESPACED
	}
	if r.Custom {
		c.flags |= C.STG_RESOURCE_CUSTOM
	}
	var id C.int32_t
	var e C.stg_error
	if code := C.stg_resource_register(s.engine, &c, &id, &e); code != C.STG_CODE_OK {
		return 0, s.closedOr(errorOf(&e))
	}
	return kv.ResourceID(id), nil
}
