//go:build cgo

package native

// #include "shim.h"
import "C"

import (
	"unsafe"

	"github.com/libstorage/go-shim/kv"
)

// pointResult is a result with room for its one row: one allocation.
type pointResult struct {
	kv.Result
	row [1]kv.KV
}

// result makes the views of a completion. It takes the slab over.
func (s *Store) result(c *C.stg_completion) *kv.Result {
	n := int(c.rows_len)
	var r *kv.Result
	if n == 1 {
		p := &pointResult{}
		r, p.KVs = &p.Result, p.row[:]
	} else {
		r = &kv.Result{}
		if n > 0 {
			r.KVs = make([]kv.KV, n)
		}
	}
	for i, row := range unsafe.Slice(c.rows, n) {
		r.KVs[i] = kv.KV{
			Key:            view(row.key),
			Value:          view(row.value),
			ModRevision:    int64(row.mod_revision),
			CreateRevision: int64(row.create_revision),
			ExpireAtMillis: int64(row.expire_at_ms),
		}
	}
	r.Revision = int64(c.revision)
	r.More = c.flags&C.STG_COMPLETION_MORE != 0
	r.Remaining = int64(c.count)
	if c.slab != 0 {
		s.hold()
		r.Own(s, uint64(c.slab))
	}
	return r
}

// hold counts one slab that Go code keeps.
func (s *Store) hold() {
	s.refs.Add(1)
	s.slabs.Add(1)
}

// ReleaseHandle gives a slab back; for kv.Result and kv.Batch.
func (s *Store) ReleaseHandle(slab uint64) {
	s.releaseSlab(slab)
	s.slabs.Add(-1)
	s.unref()
}

// releaseSlab gives back a slab that was not held.
func (s *Store) releaseSlab(slab uint64) {
	if slab != 0 {
		C.shim_slab_release(s.engine, C.uint64_t(slab))
	}
}

// OutstandingForTest is the number of results and batches not yet released.
func (s *Store) OutstandingForTest() int64 { return s.slabs.Load() }
