/* libstorage: Kubernetes objects in ordinary databases. The only public header.
 *
 * Conventions
 *  1. C11. Every function is prefixed stg_, every constant STG_. Only stg_* is exported.
 *  2. Objects are opaque handles. A handle is used by any thread, closed once, by one thread.
 *  3. Bytes go in as (pointer, length), are copied before the call returns, and are never kept.
 *     They may hold any byte; nothing is NUL-terminated unless its type is const char*.
 *  4. Bytes come out as views into a slab: valid until that slab is released (stg_slab_release).
 *     Views may be read by any thread. A slab id of 0 means there is nothing to release; a view
 *     that comes with it is static.
 *  5. Absent is a code (STG_CODE_NOT_FOUND), never NULL or an empty value.
 *  6. An operation is an id (slot and generation, never 0) with exactly one terminal completion,
 *     also after cancel and shutdown. stg_submit never waits for a lock of a database or for the
 *     network; it may complete inline (a local point read), and then returns 0 and fills *done.
 *  7. Errors are codes with a message, the backend's name and the driver's own code in the
 *     completion. There is no last-error state.
 *  8. The library writes nothing to stdout or stderr, installs no signal handler, reads no
 *     environment variable, and no C++ exception crosses this header. Its messages come out as
 *     completions of kind STG_COMPLETION_LOG.
 *  9. Times are milliseconds; revisions are int64, positive, 0 = none or latest.
 * 10. Structs begin with struct_size where the caller fills them; they only ever grow at the end.
 *
 * Not supported: fork() after stg_engine_open; two writing processes on one SQLite topology.
 */
#ifndef LIBSTORAGE_H_
#define LIBSTORAGE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define STG_API __attribute__((visibility("default")))
#else
#define STG_API
#endif

#define STG_ABI_MAJOR 1
#define STG_ABI_MINOR 1

typedef int32_t stg_code;
#define STG_CODE_OK 0
#define STG_CODE_NOT_FOUND 1
#define STG_CODE_EXISTS 2    /* create of a key that exists; the object is in the completion */
#define STG_CODE_CONFLICT 3  /* expected revision differs; the object is in the completion */
#define STG_CODE_COMPACTED 4 /* revision below the floor, which is in the completion */
#define STG_CODE_FUTURE_REVISION 5 /* revision above everything handed out */
#define STG_CODE_INVALID 6
#define STG_CODE_TOO_LARGE 7
#define STG_CODE_BUSY 8
#define STG_CODE_UNAVAILABLE 9
#define STG_CODE_READ_ONLY 10
#define STG_CODE_NO_SPACE 11
#define STG_CODE_OUTCOME_UNKNOWN 12
#define STG_CODE_DEADLINE 13
#define STG_CODE_CANCELLED 14
#define STG_CODE_SLOW_CONSUMER 15
#define STG_CODE_CORRUPT 16
#define STG_CODE_UNIMPLEMENTED 17
#define STG_CODE_INTERNAL 18

#define STG_CLASS_FINAL 0           /* the same call fails again, nothing was written */
#define STG_CLASS_RETRY 1           /* nothing was written, may work later */
#define STG_CLASS_MAYBE_COMMITTED 2 /* read before writing again */

typedef struct stg_engine stg_engine;
typedef struct stg_watch stg_watch;

typedef struct stg_bytes {
  const uint8_t* data;
  size_t size;
} stg_bytes;

/* An error of a call that has no completion. Strings are truncated to fit. */
typedef struct stg_error {
  stg_code code;
  int32_t driver_code;
  char backend[64];
  char message[4096];
} stg_error;

/* How a server is reached by TLS. Paths of PEM files; NULL = none. */
typedef struct stg_tls {
  const char* ca_file;
  const char* cert_file; /* with key_file */
  const char* key_file;
  uint32_t skip_verify; /* 1: the server's certificate is not verified */
  uint32_t reserved;
} stg_tls;

/* Strings may be NULL = default. Copied by open. A caller of ABI 1.0 gives a struct
 * that ends before default_tls. */
typedef struct stg_options {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor; /* STG_ABI_MAJOR, STG_ABI_MINOR of the caller */
  const char* topology_path;     /* path or file://; NULL = no rules */
  const char* topology_text;     /* wins over the path; for tests */
  const char* default_endpoint;  /* NULL = sqlite://./libstorage.db */
  const char* metadata_endpoint; /* NULL = SQLite file beside the default database */
  int64_t history_ms;            /* -1 = default (4 h), 0 = never compact */
  int64_t history_bytes;         /* 0 = default (2 GiB per backend) */
  int64_t max_value_bytes;       /* 0 = default (1.5 MiB) */
  int64_t slow_sql_ms;           /* 0 = off */
  int64_t buffer_budget_bytes;   /* cap on slabs out of C; 0 = default (256 MiB) */
  int64_t ring_bytes;            /* recent events in memory per backend; 0 = default */
  uint32_t flags;                /* STG_OPEN_* */
  uint32_t reserved;
  stg_tls default_tls;  /* of the default database, and of a metadata store that is part of it */
  stg_tls metadata_tls; /* of the metadata store; skip_verify alone asks for no TLS there */
} stg_options;
#define STG_OPEN_RESTORED 1u     /* files come from a backup: start a new epoch */
#define STG_OPEN_ALLOW_MEMORY 2u /* memory://name endpoints; for tests */
#define STG_OPEN_POISON 4u       /* overwrite released slabs; for tests */

/* Strings NUL-terminated, copied. See src/topology/topology.h: Resource. */
typedef struct stg_resource {
  uint32_t struct_size;
  uint32_t flags; /* STG_RESOURCE_* */
  const char* group;
  const char* resource;
  const char* kind;       /* "" = unknown */
  const char* root;       /* "/registry/" */
  const char* key_prefix; /* "/registry/pods/", ends in '/' */
} stg_resource;
#define STG_RESOURCE_NAMESPACED 1u
#define STG_RESOURCE_CUSTOM 2u

#define STG_VERB_GET 1
#define STG_VERB_LIST 2
#define STG_VERB_COUNT 3
#define STG_VERB_PUT 4
#define STG_VERB_DELETE 5
#define STG_VERB_COMPACT 6          /* revision = target floor; key unused */
#define STG_VERB_CURRENT_REVISION 7 /* linearizable */

/* Scalars of an operation. key, value and attrs are arguments of stg_submit so
 * that Go may pass its own memory under the cgo pointer rules. */
typedef struct stg_op {
  uint32_t struct_size;
  int32_t verb;       /* STG_VERB_* */
  int32_t resource;   /* id of stg_resource_register */
  uint32_t flags;     /* STG_OP_* */
  uint64_t user;      /* comes back in the completion */
  int64_t revision;   /* reads: 0 = latest; writes: expected, 0 = must not exist, -1 = any */
  int64_t limit;      /* list: rows; 0 = all that fits the budget */
  int64_t ttl_ms;     /* put: 0 = never expires */
  int64_t timeout_ms; /* 0 = none: not started by then -> DEADLINE */
} stg_op;
#define STG_OP_EXACT 1u          /* read at revision; otherwise revision is a minimum */
#define STG_OP_WANT_REMAINING 2u /* list: count what follows the page */
#define STG_OP_QUEUE 4u          /* never complete inline */

/* One stored object in a slab. */
typedef struct stg_row {
  stg_bytes key;
  stg_bytes value;
  int64_t mod_revision;
  int64_t create_revision;
  int64_t expire_at_ms; /* Unix ms, 0 = never */
} stg_row;

#define STG_COMPLETION_OP 1          /* terminal completion of an operation */
#define STG_COMPLETION_WATCH_READY 2 /* call stg_watch_read; user = that of the watch */
#define STG_COMPLETION_LOG 3         /* message; flags = 0 info, 1 warning, 2 error */

typedef struct stg_completion {
  uint64_t op; /* id; 0 for an inline completion and for logs */
  uint64_t user;
  int32_t kind; /* STG_COMPLETION_* */
  stg_code code;
  uint32_t flags; /* STG_COMPLETION_MORE, or the level of a log */
  int32_t driver_code;
  int64_t revision;    /* resource version of the answer */
  int64_t floor;       /* COMPACTED: oldest readable revision */
  int64_t count;       /* COUNT: the count; LIST: remaining, -1 = not known */
  const stg_row* rows; /* GET, LIST, and the current object of CONFLICT and EXISTS; */
  size_t rows_len;     /*   the removed object of a DELETE; in the slab */
  uint64_t slab;       /* release when done; 0 = none */
  stg_bytes message;   /* error or log text, in the slab */
  stg_bytes backend;   /* in the slab; empty = none */
} stg_completion;
#define STG_COMPLETION_MORE 1u /* list: there are rows after the page */

#define STG_EVENT_CREATE 1
#define STG_EVENT_UPDATE 2
#define STG_EVENT_DELETE 3 /* value = none, prev = the removed object */
#define STG_EVENT_EXPIRE 4 /* like DELETE */

typedef struct stg_event {
  int64_t revision;
  int32_t kind; /* STG_EVENT_* */
  uint32_t reserved;
  stg_bytes key;
  stg_bytes value;
  stg_bytes prev;
} stg_event;

typedef struct stg_watch_batch {
  stg_code code; /* not OK: the watch has ended; message says why */
  int32_t driver_code;
  uint32_t flags; /* STG_WATCH_MORE */
  uint32_t reserved;
  int64_t progress;        /* > 0: everything up to here was delivered, after events */
  int64_t floor;           /* COMPACTED */
  const stg_event* events; /* in the slab */
  size_t events_len;
  uint64_t slab;
  stg_bytes message;
  stg_bytes backend;
} stg_watch_batch;
#define STG_WATCH_MORE 1u /* read again without waiting */

/* --- library --- */
STG_API const char* stg_version(void); /* "1.0.0 (commit)" */
STG_API const char* stg_code_name(stg_code code);
STG_API int32_t stg_code_class(stg_code code); /* STG_CLASS_* */

/* --- engine --- */
STG_API stg_code stg_engine_open(const stg_options* options, stg_engine** out, stg_error* error);
/* Refuses what is called from now on (CANCELLED), completes every operation (reads that have not
 * started: CANCELLED; queued writes are finished), ends every watch and writes the clean mark.
 * Blocks. After it every completion is in the queue: drain them; slabs stay valid until close. A
 * second call does nothing and returns the same. The result is that of the clean mark. */
STG_API stg_code stg_engine_shutdown(stg_engine* engine, stg_error* error);
/* Shuts down if that was not done, then frees the engine with its slabs, its watches and what was
 * not drained. No other call may be in progress or follow. The result is that of the shutdown. */
STG_API stg_code stg_engine_close(stg_engine* engine, stg_error* error);
/* An eventfd, readable while completions wait: written when the first one comes after a
 * stg_drain that returned 0. Owned by the engine; non-blocking. */
STG_API int stg_engine_event_fd(stg_engine* engine);
STG_API stg_code stg_resource_register(stg_engine* engine, const stg_resource* resource,
                                       int32_t* out, stg_error* error);
/* check: "engine", "metadata", "default", or a backend's name. Blocks up to 2 s. */
STG_API stg_code stg_engine_check(stg_engine* engine, const char* check, stg_error* error);
/* what: "stats", "layout" or "backends": a JSON text in a slab (docs/stats.md); "buffers": the
 * part of stats about slabs, also after shutdown. */
STG_API stg_code stg_engine_info(stg_engine* engine, const char* what, stg_bytes* json,
                                 uint64_t* slab);

/* --- operations --- */
/* Returns the operation's id, or 0 when it completed inline into *done (any
 * error found before queueing does too). LIST: key = start, value = end of the range. */
STG_API uint64_t stg_submit(stg_engine* engine, const stg_op* op, const void* key, size_t key_size,
                            const void* value, size_t value_size, const void* attrs,
                            size_t attrs_size, stg_completion* done);
/* Asks an operation to end early; its completion still comes. Ids that are not in flight (any
 * more) are ignored, also when their slot is in use again. */
STG_API void stg_cancel(stg_engine* engine, uint64_t op);
/* Moves up to max completions to out; returns how many. 0 also rearms the event fd. */
STG_API size_t stg_drain(stg_engine* engine, stg_completion* out, size_t max);
/* Ids of 0 are skipped; ids that are not out are counted ("bad_releases" of stats) and skipped. */
STG_API void stg_slab_release(stg_engine* engine, const uint64_t* slabs, size_t count);

/* --- watches --- */
/* Events with revision > after and start <= key < end (end empty: unbounded). A new watch may be
 * read at once; a WATCH_READY comes when there is something after a read without STG_WATCH_MORE,
 * at most one until the next read. One that is drained after stg_watch_close is stale: tell it by
 * user. */
STG_API stg_code stg_watch_open(stg_engine* engine, int32_t resource, uint64_t user,
                                const void* start, size_t start_size, const void* end,
                                size_t end_size, int64_t after, stg_watch** out, stg_error* error);
/* Never blocks. At most max_events and about max_bytes (0 = a default each), at least one event. An
 * ended watch says so again with every read. One thread at a time, and not beside close. */
STG_API void stg_watch_read(stg_watch* watch, int64_t max_events, int64_t max_bytes,
                            stg_watch_batch* out);
/* Asks for a progress mark that covers every revision acknowledged or listed before this call. */
STG_API void stg_watch_request_progress(stg_watch* watch);
STG_API void stg_watch_close(stg_watch* watch);

#ifdef __cplusplus
}
#endif

#endif /* LIBSTORAGE_H_ */
