//go:build cgo && stgbench

package native

/*
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "shim.h"

// The way not taken, for docs/adr/0003-c-abi.md: callers wait inside C, one OS
// thread each, and a C thread hands out the completions.

struct waiter {
  sem_t ready;
  stg_completion done;
};

static pthread_t drainer;
static atomic_bool stop_drainer;

static void* drain_thread(void* engine) {
  stg_completion batch[256];
  while (!stop_drainer) {
    const size_t count = stg_drain(engine, batch, 256);
    for (size_t i = 0; i < count; ++i) {
      if (batch[i].kind == STG_COMPLETION_OP) {
        struct waiter* waiter = (struct waiter*)(uintptr_t)batch[i].user;
        waiter->done = batch[i];
        sem_post(&waiter->ready);
      } else {
        stg_slab_release(engine, &batch[i].slab, 1);
      }
    }
    if (count > 0) continue;
    struct pollfd fd = {stg_engine_event_fd(engine), POLLIN, 0};
    poll(&fd, 1, 100);
  }
  return NULL;
}

static int start_draining(stg_engine* engine) {
  stop_drainer = 0;
  return pthread_create(&drainer, NULL, drain_thread, engine);
}

static void stop_draining(void) {
  stop_drainer = 1;
  pthread_join(drainer, NULL);
}

// Returns the code of the operation; its slab is released.
static stg_code blocking_op(stg_engine* engine, int32_t verb, uint32_t flags, int64_t revision,
                            const uint8_t* key, size_t key_size, const uint8_t* value,
                            size_t value_size) {
  struct waiter waiter;
  stg_op op = {0};
  op.struct_size = sizeof(op);
  op.verb = verb;
  op.flags = flags;
  op.revision = revision;
  op.user = (uintptr_t)&waiter;
  sem_init(&waiter.ready, 0, 0);
  if (stg_submit(engine, &op, key, key_size, value, value_size, NULL, 0, &waiter.done) != 0) {
    while (sem_wait(&waiter.ready) != 0) {
    }
  }
  sem_destroy(&waiter.ready);
  stg_slab_release(engine, &waiter.done.slab, 1);
  return waiter.done.code;
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// blockingForBench replaces the dispatcher by the C thread until the returned
// function is called.
func (s *Store) blockingForBench() (restore func()) {
	s.dispatch.stop()
	if C.start_draining(s.engine) != 0 {
		panic("no thread")
	}
	return func() {
		C.stop_draining()
		var err error
		if s.dispatch, err = startDispatcher(s); err != nil {
			panic(err)
		}
	}
}

func (s *Store) getBlockingForBench(key string) error {
	data, size := bytesOf(key)
	return codeError(C.blocking_op(s.engine, C.STG_VERB_GET, C.STG_OP_QUEUE, 0, data, size, nil, 0))
}

func (s *Store) putBlockingForBench(key string, value []byte) error {
	data, size := bytesOf(key)
	return codeError(C.blocking_op(s.engine, C.STG_VERB_PUT, 0, -1, data, size,
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(value))), C.size_t(len(value))))
}

func codeError(code C.stg_code) error {
	if code != C.STG_CODE_OK {
		return fmt.Errorf("%s", C.GoString(C.stg_code_name(code)))
	}
	return nil
}
