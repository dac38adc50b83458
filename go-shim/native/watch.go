//go:build cgo

package native

// #include "shim.h"
import "C"

import (
	"context"
	"sync"
	"unsafe"

	"github.com/libstorage/go-shim/kv"
)

// A page of a watch: what one Next brings at most.
const (
	watchMaxEvents = 1000
	watchMaxBytes  = 1 << 20
)

// watcher is a kv.Watcher. It holds a reference to the store until Close.
type watcher struct {
	store  *Store
	cookie uint64
	ready  chan struct{} // one token: something may have come
	ended  chan struct{} // closed by Close

	mu     sync.Mutex // guards handle against Close; held for one read at most
	handle *C.stg_watch
	idle   bool // the last read got everything: wait before the next
	err    error
}

// watchTable finds the watcher of a READY completion by its cookie, so that one
// which comes after Close finds nobody.
type watchTable struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*watcher
}

func (t *watchTable) add(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[uint64]*watcher{}
	}
	t.last++
	w.cookie = t.last
	t.open[w.cookie] = w
}

func (t *watchTable) remove(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, w.cookie)
}

func (t *watchTable) wake(cookie uint64) {
	t.mu.Lock()
	w := t.open[cookie]
	t.mu.Unlock()
	if w == nil {
		return
	}
	select {
	case w.ready <- struct{}{}:
	default: // has not looked at the last one yet
	}
}

func (t *watchTable) closeAll() {
	t.mu.Lock()
	var left []*watcher
	for _, w := range t.open {
		left = append(left, w)
	}
	t.mu.Unlock()
	for _, w := range left {
		w.Close()
	}
}

// Watch follows start <= key < end after a revision; see kv.Store.
func (s *Store) Watch(ctx context.Context, r kv.ResourceID, start, end string, after int64) (kv.Watcher, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	w := &watcher{store: s, ready: make(chan struct{}, 1), ended: make(chan struct{})}
	s.watches.add(w) // before READY can come
	if err := w.open(r, start, end, after); err != nil {
		s.watches.remove(w)
		s.unref()
		return nil, err
	}
	if s.closed.Load() { // Close may have looked for watches before this one
		w.Close()
		return nil, kv.ErrClosed
	}
	return w, nil
}

func (w *watcher) open(r kv.ResourceID, start, end string, after int64) error {
	w.store.blocking <- struct{}{}
	defer func() { <-w.store.blocking }()
	startData, startSize := bytesOf(start)
	endData, endSize := bytesOf(end)
	var handle *C.stg_watch
	var e C.stg_error
	code := C.shim_watch_open(w.store.engine, C.int32_t(r), C.uint64_t(w.cookie), startData, startSize,
		endData, endSize, C.int64_t(after), &handle, &e)
	if code != C.STG_CODE_OK {
		return w.store.closedOr(errorOf(&e))
	}
	w.mu.Lock()
	w.handle = handle
	w.mu.Unlock()
	return nil
}

// Next waits for events or progress; see kv.Watcher. One goroutine at a time.
func (w *watcher) Next(ctx context.Context) (*kv.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		batch, wait, err := w.read()
		if batch != nil || err != nil {
			return batch, err
		}
		if !wait {
			continue
		}
		select {
		case <-w.ready:
			w.mu.Lock()
			w.idle = false
			w.mu.Unlock()
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-w.ended:
			return nil, kv.ErrClosed
		}
	}
}

// read takes what is there. Without batch and error: wait says whether to wait
// for READY or to read again.
func (w *watcher) read() (batch *kv.Batch, wait bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handle == nil {
		return nil, false, kv.ErrClosed
	}
	if w.err != nil || w.idle {
		return nil, true, w.err
	}
	var b C.stg_watch_batch
	C.stg_watch_read(w.handle, watchMaxEvents, watchMaxBytes, &b)
	if b.code != C.STG_CODE_OK {
		w.err = w.failure(&b)
		return nil, false, w.err
	}
	w.idle = b.flags&C.STG_WATCH_MORE == 0
	if b.events_len == 0 && b.progress == 0 {
		return nil, w.idle, nil
	}
	return w.store.batch(&b), false, nil
}

func (w *watcher) failure(b *C.stg_watch_batch) error {
	err := w.store.closedOr(&kv.Error{
		Code:       kv.Code(b.code),
		Message:    string(view(b.message)),
		Backend:    string(view(b.backend)),
		DriverCode: int32(b.driver_code),
		Floor:      int64(b.floor),
	})
	w.store.releaseSlab(uint64(b.slab))
	return err
}

// batch makes the views of a read. It takes the slab over.
func (s *Store) batch(b *C.stg_watch_batch) *kv.Batch {
	out := &kv.Batch{Progress: int64(b.progress)}
	if b.events_len > 0 {
		out.Events = make([]kv.Event, int(b.events_len))
		for i, e := range unsafe.Slice(b.events, int(b.events_len)) {
			out.Events[i] = kv.Event{
				Revision: int64(e.revision),
				Kind:     kv.EventKind(e.kind),
				Key:      view(e.key),
				Value:    view(e.value),
				Prev:     view(e.prev),
			}
		}
	}
	if b.slab != 0 {
		s.hold()
		out.Own(s, uint64(b.slab))
	}
	return out
}

// RequestProgress asks for a batch with Progress.
func (w *watcher) RequestProgress() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.handle != nil {
		C.stg_watch_request_progress(w.handle)
	}
}

// Close ends the watch; a Next that waits returns ErrClosed. Batches stay valid.
func (w *watcher) Close() {
	w.mu.Lock()
	handle := w.handle
	w.handle = nil
	w.mu.Unlock()
	if handle == nil {
		return
	}
	close(w.ended)
	w.store.watches.remove(w)
	C.stg_watch_close(handle)
	w.store.unref()
}
