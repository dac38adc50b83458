//go:build cgo

package native

// #include "shim.h"
import "C"

import (
	"context"
	"reflect"

	"github.com/libstorage/go-shim/kv"
)

// What tests need of cgo: a test file cannot import "C".

// layoutsForTest are the structs of the header as cgo compiled them.
func layoutsForTest() map[string]reflect.Type {
	return map[string]reflect.Type{
		"stg_bytes":       reflect.TypeFor[C.stg_bytes](),
		"stg_error":       reflect.TypeFor[C.stg_error](),
		"stg_tls":         reflect.TypeFor[C.stg_tls](),
		"stg_options":     reflect.TypeFor[C.stg_options](),
		"stg_resource":    reflect.TypeFor[C.stg_resource](),
		"stg_op":          reflect.TypeFor[C.stg_op](),
		"stg_row":         reflect.TypeFor[C.stg_row](),
		"stg_completion":  reflect.TypeFor[C.stg_completion](),
		"stg_event":       reflect.TypeFor[C.stg_event](),
		"stg_watch_batch": reflect.TypeFor[C.stg_watch_batch](),
	}
}

// getQueuedForTest is Get that never completes inline.
func (s *Store) getQueuedForTest(ctx context.Context, r kv.ResourceID, key string) (*kv.Result, error) {
	return s.answer(ctx, &request{verb: C.STG_VERB_GET, resource: r, flags: C.STG_OP_QUEUE}, key, "")
}
