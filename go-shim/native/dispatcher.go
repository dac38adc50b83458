//go:build cgo

package native

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// drainBatch completions cross from C at a time.
const drainBatch = 256

// dispatcher is the one goroutine of a store that waits for completions: in
// Go's poller, on the engine's eventfd. It never blocks on what it delivers to.
type dispatcher struct {
	store    *Store
	file     *os.File // of a duplicate of the eventfd: the engine keeps its own
	batch    *[drainBatch]C.stg_completion
	stopping atomic.Bool
	done     chan struct{}
}

func startDispatcher(s *Store) (*dispatcher, error) {
	fd, err := syscall.Dup(int(C.stg_engine_event_fd(s.engine)))
	if err != nil {
		return nil, fmt.Errorf("storage: the engine's event descriptor: %w", err)
	}
	syscall.CloseOnExec(fd)
	d := &dispatcher{
		store: s,
		file:  os.NewFile(uintptr(fd), "libstorage-eventfd"), // non-blocking: goes to the poller
		// C memory: drained into without pointer checks, once per store.
		batch: (*[drainBatch]C.stg_completion)(C.calloc(drainBatch, C.size_t(unsafe.Sizeof(C.stg_completion{})))),
		done:  make(chan struct{}),
	}
	conn, err := d.file.SyscallConn()
	if err == nil {
		err = d.file.SetReadDeadline(time.Time{}) // fails when the poller refused the descriptor
	}
	if err != nil {
		d.free()
		return nil, fmt.Errorf("storage: polling the engine's event descriptor: %w", err)
	}
	go d.run(conn)
	return d, nil
}

func (d *dispatcher) free() {
	_ = d.file.Close()
	C.free(unsafe.Pointer(d.batch))
}

// run drains until stop. Read calls step again whenever the eventfd became
// readable after a step that found nothing more.
func (d *dispatcher) run(conn syscall.RawConn) {
	defer close(d.done)
	defer d.free()
	step := func(uintptr) bool {
		for d.drain() > 0 {
		}
		return d.stopping.Load()
	}
	for !d.stopping.Load() {
		if err := conn.Read(step); err != nil && !d.stopping.Load() {
			// Not expected: the descriptor is ours. Waiters must not hang on it.
			time.Sleep(time.Millisecond)
			d.drain()
		}
	}
	for d.drain() > 0 {
	}
}

// stop returns when everything that waited was delivered and the goroutine is gone.
func (d *dispatcher) stop() {
	d.stopping.Store(true)
	_ = d.file.SetReadDeadline(time.Unix(0, 1))
	<-d.done
}

// drain delivers one batch and returns its size; 0 also arms the eventfd again.
func (d *dispatcher) drain() int {
	n := int(C.stg_drain(d.store.engine, &d.batch[0], drainBatch))
	for i := range d.batch[:n] {
		c := &d.batch[i]
		switch c.kind {
		case C.STG_COMPLETION_OP:
			d.store.complete(c)
		case C.STG_COMPLETION_WATCH_READY:
			d.store.watches.wake(uint64(c.user))
		case C.STG_COMPLETION_LOG:
			d.store.logs.push(LogLevel(c.flags), string(view(c.message)))
			d.store.releaseSlab(uint64(c.slab))
		default:
			d.store.releaseSlab(uint64(c.slab))
		}
	}
	return n
}
