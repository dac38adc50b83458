//go:build cgo

package native

// #include "shim.h"
import "C"

import (
	"context"
	"time"
	"unsafe"

	"github.com/libstorage/go-shim/kv"
)

// request is what an operation takes, beside its bytes.
type request struct {
	verb     C.int32_t
	resource kv.ResourceID
	flags    C.uint32_t
	revision int64
	limit    int64
	ttl      int64

	meanwhile func() // runs between submission and waiting; nil = nothing
}

// bytesOf is the memory of a string for the time of a C call.
func bytesOf(s string) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// do runs one operation. On nil the answer is in the returned call, whose
// completion (with its slab) is the caller's; then put it back. On error there
// is no call.
func (s *Store) do(ctx context.Context, r *request, key, end string, value, attrs []byte) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := s.calls.take()
	c.op = C.stg_op{
		struct_size: C.uint32_t(unsafe.Sizeof(C.stg_op{})),
		verb:        r.verb,
		resource:    C.int32_t(r.resource),
		flags:       r.flags,
		user:        C.uint64_t(c.user()),
		revision:    C.int64_t(r.revision),
		limit:       C.int64_t(r.limit),
		ttl_ms:      C.int64_t(r.ttl),
		timeout_ms:  timeoutOf(ctx),
	}
	keyData, keySize := bytesOf(key)
	valueData, valueSize := bytesOf(end)
	if value != nil {
		valueData, valueSize = (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(value))), C.size_t(len(value))
	}
	s.inside <- struct{}{}
	id := C.shim_submit(s.engine, &c.op, keyData, keySize, valueData, valueSize,
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(attrs))), C.size_t(len(attrs)), &c.done)
	<-s.inside
	if r.meanwhile != nil {
		r.meanwhile()
	}
	if id != 0 {
		if err := s.wait(ctx, c, id); err != nil {
			return nil, err
		}
	}
	if c.done.code == C.STG_CODE_OK {
		return c, nil
	}
	err := s.failure(ctx, &c.done)
	s.calls.put(c)
	return nil, err
}

// timeoutOf tells the engine not to start what nobody waits for any more.
func timeoutOf(ctx context.Context) C.int64_t {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return C.int64_t(max(1, (time.Until(deadline) + time.Millisecond - 1).Milliseconds()))
}

// answer runs an operation whose answer is a result.
func (s *Store) answer(ctx context.Context, r *request, key, end string) (*kv.Result, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.unref()
	c, err := s.do(ctx, r, key, end, nil, nil)
	if err != nil {
		return nil, err
	}
	result := s.result(&c.done)
	s.calls.put(c)
	return result, nil
}

// number runs an operation whose answer is one number.
func (s *Store) number(ctx context.Context, r *request, key, end string, value, attrs []byte) (int64, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.unref()
	c, err := s.do(ctx, r, key, end, value, attrs)
	if err != nil {
		return 0, err
	}
	number := int64(c.done.revision)
	if r.verb == C.STG_VERB_COUNT {
		number = int64(c.done.count)
	}
	s.releaseSlab(uint64(c.done.slab)) // a delete brings the removed object
	s.calls.put(c)
	return number, nil
}

func readFlags(opts *kv.ReadOptions) (flags C.uint32_t) {
	if opts.Exact {
		flags |= C.STG_OP_EXACT
	}
	if opts.WantRemaining {
		flags |= C.STG_OP_WANT_REMAINING
	}
	return flags
}

// Get returns one KV; see kv.Store.
func (s *Store) Get(ctx context.Context, r kv.ResourceID, key string, opts kv.ReadOptions) (*kv.Result, error) {
	return s.answer(ctx, &request{
		verb: C.STG_VERB_GET, resource: r, flags: readFlags(&opts), revision: opts.Revision,
	}, key, "")
}

// List returns a page of start <= key < end; see kv.Store.
func (s *Store) List(ctx context.Context, r kv.ResourceID, start, end string, opts kv.ReadOptions) (*kv.Result, error) {
	return s.answer(ctx, &request{
		verb: C.STG_VERB_LIST, resource: r, flags: readFlags(&opts), revision: opts.Revision, limit: opts.Limit,
	}, start, end)
}

// Count counts start <= key < end.
func (s *Store) Count(ctx context.Context, r kv.ResourceID, start, end string) (int64, error) {
	return s.number(ctx, &request{verb: C.STG_VERB_COUNT, resource: r}, start, end, nil, nil)
}

// Put writes; see kv.Store.
func (s *Store) Put(ctx context.Context, r kv.ResourceID, key string, value []byte, opts kv.PutOptions) (int64, error) {
	return s.number(ctx, &request{
		verb: C.STG_VERB_PUT, resource: r, revision: opts.Expected, ttl: opts.TTLMillis,
		meanwhile: opts.Meanwhile,
	}, key, "", value, opts.Attrs)
}

// Delete removes; see kv.Store.
func (s *Store) Delete(ctx context.Context, r kv.ResourceID, key string, expected int64) (int64, error) {
	return s.number(ctx, &request{verb: C.STG_VERB_DELETE, resource: r, revision: expected}, key, "", nil, nil)
}

// Compact raises the floor; see kv.Store.
func (s *Store) Compact(ctx context.Context, rev int64) error {
	_, err := s.number(ctx, &request{verb: C.STG_VERB_COMPACT, revision: rev}, "", "", nil, nil)
	return err
}

// CurrentRevision is linearizable.
func (s *Store) CurrentRevision(ctx context.Context, r kv.ResourceID) (int64, error) {
	return s.number(ctx, &request{verb: C.STG_VERB_CURRENT_REVISION, resource: r}, "", "", nil, nil)
}
