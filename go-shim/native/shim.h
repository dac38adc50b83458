// libstorage.h for cgo. The wrappers give bytes a type without pointers, so
// that the cgo pointer check need not look into what Go passes.
#ifndef GO_SHIM_NATIVE_SHIM_H_
#define GO_SHIM_NATIVE_SHIM_H_

#include <libstorage.h>

static inline uint64_t shim_submit(stg_engine* engine, const stg_op* op, const uint8_t* key,
                                   size_t key_size, const uint8_t* value, size_t value_size,
                                   const uint8_t* attrs, size_t attrs_size, stg_completion* done) {
  return stg_submit(engine, op, key, key_size, value, value_size, attrs, attrs_size, done);
}

static inline stg_code shim_watch_open(stg_engine* engine, int32_t resource, uint64_t user,
                                       const uint8_t* start, size_t start_size, const uint8_t* end,
                                       size_t end_size, int64_t after, stg_watch** out,
                                       stg_error* error) {
  return stg_watch_open(engine, resource, user, start, start_size, end, end_size, after, out,
                        error);
}

// By value: an address would put the id on Go's heap.
static inline void shim_slab_release(stg_engine* engine, uint64_t slab) {
  stg_slab_release(engine, &slab, 1);
}

#endif  // GO_SHIM_NATIVE_SHIM_H_
