//go:build cgo

package native

// #include "shim.h"
import "C"

import (
	"context"
	"unsafe"

	"github.com/libstorage/go-shim/kv"
)

// view is C memory without a copy; nil only for a NULL pointer.
func view(b C.stg_bytes) []byte {
	if b.data == nil {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(b.data)), int(b.size))
}

func errorOf(e *C.stg_error) *kv.Error {
	return &kv.Error{
		Code:       kv.Code(e.code),
		Message:    C.GoString(&e.message[0]),
		Backend:    C.GoString(&e.backend[0]),
		DriverCode: int32(e.driver_code),
	}
}

// closedOr turns what ended because the store was closed into ErrClosed.
func (s *Store) closedOr(err *kv.Error) error {
	if err.Code == kv.CodeCancelled && s.closed.Load() {
		return kv.ErrClosed
	}
	return err
}

// endOf is the error of a ctx that ended an operation in the engine, which may
// notice before this goroutine does, and by its own clock.
func endOf(ctx context.Context, code kv.Code) error {
	switch code {
	case kv.CodeDeadline: // nobody but ctx gives the engine a deadline
		return context.DeadlineExceeded
	case kv.CodeCancelled:
		return ctx.Err()
	}
	return nil
}

// failure makes the error of a completion that is not OK. It takes the slab over.
func (s *Store) failure(ctx context.Context, c *C.stg_completion) error {
	code := kv.Code(c.code)
	if err := endOf(ctx, code); err != nil {
		s.releaseSlab(uint64(c.slab))
		return err
	}
	err := &kv.Error{
		Code:       code,
		Message:    string(view(c.message)),
		Backend:    string(view(c.backend)),
		DriverCode: int32(c.driver_code),
		Revision:   int64(c.revision),
		Floor:      int64(c.floor),
	}
	if err.Message == "" {
		err.Message = C.GoString(C.stg_code_name(c.code))
	}
	if c.rows_len > 0 && (code == kv.CodeConflict || code == kv.CodeExists) {
		err.Current = s.result(c)
	} else {
		s.releaseSlab(uint64(c.slab))
	}
	return s.closedOr(err)
}
