/* Every function of libstorage.h from strict C11, against the shared library,
 * on memory and on SQLite. Exits non-zero at the first thing that is wrong. */
#define _XOPEN_SOURCE 700
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libstorage.h"

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                  \
    }                                                                           \
  } while (0)

static stg_engine* engine;
static int32_t pods;
static uint64_t watch_ready;
static stg_completion kept[64]; /* completions drained while waiting for another one */
static size_t kept_len;

static int same(stg_bytes bytes, const char* text) {
  return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static void release(uint64_t slab) { stg_slab_release(engine, &slab, 1); }

static void drain(void) {
  stg_completion out[8];
  size_t count;
  while ((count = stg_drain(engine, out, 8)) > 0) {
    for (size_t i = 0; i < count; ++i) {
      if (out[i].kind == STG_COMPLETION_OP) {
        CHECK(kept_len < sizeof(kept) / sizeof(kept[0]));
        kept[kept_len++] = out[i];
        continue;
      }
      if (out[i].kind == STG_COMPLETION_WATCH_READY) watch_ready = out[i].user;
      release(out[i].slab);
    }
  }
}

static void wait_event(void) {
  struct pollfd fd = {stg_engine_event_fd(engine), POLLIN, 0};
  CHECK(fd.fd >= 0);
  CHECK(poll(&fd, 1, 20000) == 1);
}

static stg_completion wait_for(uint64_t op) {
  for (;;) {
    drain();
    for (size_t i = 0; i < kept_len; ++i) {
      if (kept[i].op != op) continue;
      stg_completion done = kept[i];
      kept[i] = kept[--kept_len];
      return done;
    }
    wait_event();
  }
}

static stg_op make_op(int32_t verb, int64_t revision) {
  stg_op op = {0};
  op.struct_size = sizeof(op);
  op.verb = verb;
  op.resource = pods;
  op.revision = revision;
  op.user = 4711;
  return op;
}

static stg_completion run(const stg_op* op, const char* key, const char* value) {
  stg_completion done;
  const uint64_t id = stg_submit(engine, op, key, strlen(key), value,
                                 value == NULL ? 0 : strlen(value), NULL, 0, &done);
  if (id != 0) done = wait_for(id);
  CHECK(done.op == id);
  CHECK(done.user == op->user);
  CHECK(done.kind == STG_COMPLETION_OP);
  return done;
}

static void test_library(void) {
  CHECK(strlen(stg_version()) > 0);
  CHECK(strcmp(stg_code_name(STG_CODE_NO_SPACE), "NO_SPACE") == 0);
  CHECK(stg_code_class(STG_CODE_CONFLICT) == STG_CLASS_FINAL);
  CHECK(stg_code_class(STG_CODE_BUSY) == STG_CLASS_RETRY);
  CHECK(stg_code_class(STG_CODE_OUTCOME_UNKNOWN) == STG_CLASS_MAYBE_COMMITTED);
}

static void open_engine(const char* endpoint, const char* metadata) {
  stg_options options = {0};
  stg_error error;
  options.struct_size = sizeof(options);
  options.abi_major = STG_ABI_MAJOR;
  options.abi_minor = STG_ABI_MINOR;
  options.default_endpoint = endpoint;
  options.metadata_endpoint = metadata;
  options.history_ms = -1;
  options.flags = STG_OPEN_ALLOW_MEMORY;
  if (stg_engine_open(&options, &engine, &error) != STG_CODE_OK) {
    fprintf(stderr, "open %s: %s\n", endpoint, error.message);
    exit(1);
  }
  stg_resource resource = {0};
  resource.struct_size = sizeof(resource);
  resource.flags = STG_RESOURCE_NAMESPACED;
  resource.group = "";
  resource.resource = "pods";
  resource.kind = "Pod";
  resource.root = "/registry/";
  resource.key_prefix = "/registry/pods/";
  CHECK(stg_resource_register(engine, &resource, &pods, &error) == STG_CODE_OK);
  int32_t again = -1;
  CHECK(stg_resource_register(engine, &resource, &again, NULL) == STG_CODE_OK);
  CHECK(again == pods);
}

static int64_t test_writes(void) {
  stg_op op = make_op(STG_VERB_PUT, 0);
  stg_completion done = run(&op, "/registry/pods/ns/a", "one");
  CHECK(done.code == STG_CODE_OK);
  CHECK(done.slab == 0);
  const int64_t first = done.revision;

  done = run(&op, "/registry/pods/ns/a", "two");
  CHECK(done.code == STG_CODE_EXISTS);
  CHECK(done.rows_len == 1 && same(done.rows[0].value, "one"));
  CHECK(done.rows[0].mod_revision == first && done.rows[0].create_revision == first);
  release(done.slab);

  op.revision = first;
  done = run(&op, "/registry/pods/ns/a", "two");
  CHECK(done.code == STG_CODE_OK && done.revision == first + 1);
  done = run(&op, "/registry/pods/ns/a", "three");
  CHECK(done.code == STG_CODE_CONFLICT);
  CHECK(done.rows_len == 1 && same(done.rows[0].value, "two"));
  CHECK(same(done.rows[0].key, "/registry/pods/ns/a"));
  release(done.slab);

  op = make_op(STG_VERB_DELETE, first + 1);
  done = run(&op, "/registry/pods/ns/a", NULL);
  CHECK(done.code == STG_CODE_OK && done.revision == first + 2);
  CHECK(done.rows_len == 1 && same(done.rows[0].value, "two"));
  release(done.slab);
  done = run(&op, "/registry/pods/ns/a", NULL);
  CHECK(done.code == STG_CODE_NOT_FOUND);
  release(done.slab);
  return first;
}

static void test_reads(int64_t first) {
  char key[64];
  stg_op put = make_op(STG_VERB_PUT, 0);
  for (int i = 0; i < 5; ++i) {
    snprintf(key, sizeof(key), "/registry/pods/ns/p%d", i);
    CHECK(run(&put, key, key).code == STG_CODE_OK);
  }
  stg_op op = make_op(STG_VERB_GET, 0);
  for (int queued = 0; queued < 2; ++queued) {
    op.flags = queued ? STG_OP_QUEUE : 0;
    stg_completion done = run(&op, "/registry/pods/ns/p3", NULL);
    CHECK(done.code == STG_CODE_OK && done.rows_len == 1);
    CHECK(queued == 0 || done.op != 0);
    CHECK(same(done.rows[0].value, "/registry/pods/ns/p3"));
    release(done.slab);
    done = run(&op, "/registry/pods/ns/absent", NULL);
    CHECK(done.code == STG_CODE_NOT_FOUND && done.rows_len == 0);
    release(done.slab);
  }
  op = make_op(STG_VERB_LIST, 0);
  op.limit = 2;
  op.flags = STG_OP_WANT_REMAINING;
  stg_completion page = run(&op, "/registry/pods/ns/p1", "/registry/pods/ns/p9");
  CHECK(page.code == STG_CODE_OK && page.rows_len == 2);
  CHECK(same(page.rows[0].key, "/registry/pods/ns/p1"));
  CHECK((page.flags & STG_COMPLETION_MORE) != 0 && page.count == 2);
  release(page.slab);
  op = make_op(STG_VERB_LIST, first + 1);
  op.flags = STG_OP_EXACT;
  page = run(&op, "/registry/pods/", "/registry/pods0");
  CHECK(page.code == STG_CODE_OK && page.rows_len == 1 && page.revision == first + 1);
  CHECK(same(page.rows[0].value, "two"));
  release(page.slab);
  op = make_op(STG_VERB_COUNT, 0);
  CHECK(run(&op, "/registry/pods/", "/registry/pods0").count == 5);
  op = make_op(STG_VERB_CURRENT_REVISION, 0);
  CHECK(run(&op, "", NULL).revision == first + 7);
  op = make_op(STG_VERB_GET, first + 100);
  stg_completion future = run(&op, "/registry/pods/ns/p1", NULL);
  CHECK(future.code == STG_CODE_FUTURE_REVISION && future.message.size > 0);
  release(future.slab);
}

static void read_events(stg_watch* watch, int64_t* last, size_t* events) {
  stg_watch_batch batch;
  do {
    stg_watch_read(watch, 0, 0, &batch);
    CHECK(batch.code == STG_CODE_OK);
    for (size_t i = 0; i < batch.events_len; ++i) {
      CHECK(batch.events[i].revision > *last);
      *last = batch.events[i].revision;
      ++*events;
    }
    if (batch.progress > 0) {
      CHECK(batch.progress >= *last);
      *last = batch.progress;
    }
    release(batch.slab);
  } while ((batch.flags & STG_WATCH_MORE) != 0);
}

static void test_watch(int64_t first) {
  const char start[] = "/registry/pods/";
  const char end[] = "/registry/pods0";
  stg_watch* watch = NULL;
  stg_error error;
  CHECK(stg_watch_open(engine, pods, 99, start, strlen(start), end, strlen(end), first, &watch,
                       &error) == STG_CODE_OK);
  int64_t last = first;
  size_t events = 0;
  read_events(watch, &last, &events);
  while (events < 7) {
    drain();
    if (watch_ready != 99) {
      wait_event();
      continue;
    }
    watch_ready = 0;
    read_events(watch, &last, &events);
  }
  CHECK(events == 7);
  CHECK(last >= first + 7);
  stg_watch_request_progress(watch);
  last = 0;
  while (last < first + 7) {
    drain();
    if (watch_ready == 99) {
      watch_ready = 0;
      read_events(watch, &last, &events);
    } else {
      wait_event();
    }
  }
  stg_watch_close(watch);
}

static void test_compact(int64_t first) {
  stg_op op = make_op(STG_VERB_COMPACT, first + 2);
  CHECK(run(&op, "", NULL).code == STG_CODE_OK);
  op = make_op(STG_VERB_LIST, first);
  op.flags = STG_OP_EXACT;
  stg_completion done = run(&op, "/registry/pods/", "/registry/pods0");
  CHECK(done.code == STG_CODE_COMPACTED);
  CHECK(done.floor == first + 2);
  release(done.slab);
  stg_watch* watch = NULL;
  stg_error error;
  CHECK(stg_watch_open(engine, pods, 99, "", 0, "", 0, first, &watch, &error) ==
        STG_CODE_COMPACTED);
  CHECK(watch == NULL && error.message[0] != '\0');
}

static void test_health(void) {
  stg_error error;
  CHECK(stg_engine_check(engine, "engine", &error) == STG_CODE_OK);
  CHECK(stg_engine_check(engine, "metadata", &error) == STG_CODE_OK);
  CHECK(stg_engine_check(engine, "default", &error) == STG_CODE_OK);
  CHECK(stg_engine_check(engine, "no-such-backend", &error) != STG_CODE_OK);
  CHECK(error.message[0] != '\0');
  const char* what[] = {"stats", "layout", "backends", "buffers"};
  for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); ++i) {
    stg_bytes json = {0};
    uint64_t slab = 0;
    CHECK(stg_engine_info(engine, what[i], &json, &slab) == STG_CODE_OK);
    CHECK(json.size > 1 && (json.data[0] == '{' || json.data[0] == '['));
    release(slab);
  }
}

static void test_close(void) {
  stg_op op = make_op(STG_VERB_PUT, -1);
  stg_completion done;
  const uint64_t late =
      stg_submit(engine, &op, "/registry/pods/ns/late", 22, "x", 1, NULL, 0, &done);
  CHECK(late != 0);
  stg_cancel(engine, late);
  stg_cancel(engine, late + 1);
  stg_error error;
  CHECK(stg_engine_shutdown(engine, &error) == STG_CODE_OK);
  done = wait_for(late);
  CHECK(done.code == STG_CODE_OK || done.code == STG_CODE_CANCELLED);
  release(done.slab);
  CHECK(stg_submit(engine, &op, "/registry/pods/ns/late", 22, "x", 1, NULL, 0, &done) == 0);
  CHECK(done.code == STG_CODE_CANCELLED);
  release(done.slab);
  /* Everything was released: the gauges say so. */
  stg_bytes json = {0};
  uint64_t slab = 0;
  CHECK(stg_engine_info(engine, "buffers", &json, &slab) == STG_CODE_OK);
  CHECK(json.size < 2048);
  char text[2049];
  memcpy(text, json.data, json.size);
  text[json.size] = '\0';
  CHECK(strstr(text, "\"get\":{\"bytes\":0,\"shared_bytes\":0,\"count\":0}") != NULL);
  CHECK(strstr(text, "\"bad_releases\":0") != NULL);
  release(slab);
  CHECK(stg_engine_close(engine, &error) == STG_CODE_OK);
}

static void test_engine(const char* endpoint, const char* metadata) {
  printf("%s\n", endpoint);
  open_engine(endpoint, metadata);
  const int64_t first = test_writes();
  test_reads(first);
  test_watch(first);
  test_health();
  test_compact(first);
  test_close();
}

int main(void) {
  char dir[] = "/tmp/abi_test.XXXXXX";
  char endpoint[128];
  test_library();
  test_engine("memory://abi", "memory://abi.meta");
  CHECK(mkdtemp(dir) != NULL);
  CHECK(chdir(dir) == 0);
  snprintf(endpoint, sizeof(endpoint), "sqlite://%s/abi.db", dir);
  test_engine(endpoint, NULL);
  snprintf(endpoint, sizeof(endpoint), "rm -rf '%s'", dir);
  return system(endpoint) == 0 ? 0 : 1;
}
