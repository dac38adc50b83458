/* Layouts of libstorage.h on this machine, compared with tests/abi/layout.txt:
 * what a compiled caller was built with. go-shim/native compares the same file
 * with what cgo sees. Without an argument: prints the table. */
#include <stdio.h>
#include <string.h>

#include "libstorage.h"

struct entry {
  const char* name;
  size_t value;
};

#define SIZE(type) \
  { #type, sizeof(type) }
#define FIELD(type, field) \
  { #type "." #field, offsetof(type, field) }

static const struct entry table[] = {
    SIZE(stg_bytes),
    FIELD(stg_bytes, data),
    FIELD(stg_bytes, size),
    SIZE(stg_error),
    FIELD(stg_error, code),
    FIELD(stg_error, driver_code),
    FIELD(stg_error, backend),
    FIELD(stg_error, message),
    SIZE(stg_tls),
    FIELD(stg_tls, ca_file),
    FIELD(stg_tls, cert_file),
    FIELD(stg_tls, key_file),
    FIELD(stg_tls, skip_verify),
    FIELD(stg_tls, reserved),
    SIZE(stg_options),
    FIELD(stg_options, struct_size),
    FIELD(stg_options, abi_major),
    FIELD(stg_options, abi_minor),
    FIELD(stg_options, topology_path),
    FIELD(stg_options, topology_text),
    FIELD(stg_options, default_endpoint),
    FIELD(stg_options, metadata_endpoint),
    FIELD(stg_options, history_ms),
    FIELD(stg_options, history_bytes),
    FIELD(stg_options, max_value_bytes),
    FIELD(stg_options, slow_sql_ms),
    FIELD(stg_options, buffer_budget_bytes),
    FIELD(stg_options, ring_bytes),
    FIELD(stg_options, flags),
    FIELD(stg_options, reserved),
    FIELD(stg_options, default_tls),
    FIELD(stg_options, metadata_tls),
    SIZE(stg_resource),
    FIELD(stg_resource, struct_size),
    FIELD(stg_resource, flags),
    FIELD(stg_resource, group),
    FIELD(stg_resource, resource),
    FIELD(stg_resource, kind),
    FIELD(stg_resource, root),
    FIELD(stg_resource, key_prefix),
    SIZE(stg_op),
    FIELD(stg_op, struct_size),
    FIELD(stg_op, verb),
    FIELD(stg_op, resource),
    FIELD(stg_op, flags),
    FIELD(stg_op, user),
    FIELD(stg_op, revision),
    FIELD(stg_op, limit),
    FIELD(stg_op, ttl_ms),
    FIELD(stg_op, timeout_ms),
    SIZE(stg_row),
    FIELD(stg_row, key),
    FIELD(stg_row, value),
    FIELD(stg_row, mod_revision),
    FIELD(stg_row, create_revision),
    FIELD(stg_row, expire_at_ms),
    SIZE(stg_completion),
    FIELD(stg_completion, op),
    FIELD(stg_completion, user),
    FIELD(stg_completion, kind),
    FIELD(stg_completion, code),
    FIELD(stg_completion, flags),
    FIELD(stg_completion, driver_code),
    FIELD(stg_completion, revision),
    FIELD(stg_completion, floor),
    FIELD(stg_completion, count),
    FIELD(stg_completion, rows),
    FIELD(stg_completion, rows_len),
    FIELD(stg_completion, slab),
    FIELD(stg_completion, message),
    FIELD(stg_completion, backend),
    SIZE(stg_event),
    FIELD(stg_event, revision),
    FIELD(stg_event, kind),
    FIELD(stg_event, reserved),
    FIELD(stg_event, key),
    FIELD(stg_event, value),
    FIELD(stg_event, prev),
    SIZE(stg_watch_batch),
    FIELD(stg_watch_batch, code),
    FIELD(stg_watch_batch, driver_code),
    FIELD(stg_watch_batch, flags),
    FIELD(stg_watch_batch, reserved),
    FIELD(stg_watch_batch, progress),
    FIELD(stg_watch_batch, floor),
    FIELD(stg_watch_batch, events),
    FIELD(stg_watch_batch, events_len),
    FIELD(stg_watch_batch, slab),
    FIELD(stg_watch_batch, message),
    FIELD(stg_watch_batch, backend),
};
static const size_t table_len = sizeof(table) / sizeof(table[0]);

static int compare(FILE* file) {
  char name[128];
  size_t value;
  size_t at = 0;
  while (fscanf(file, "%127s %zu", name, &value) == 2) {
    if (at >= table_len || strcmp(name, table[at].name) != 0 || value != table[at].value) {
      fprintf(stderr, "the file says %s %zu, the header %s %zu\n", name, value,
              at < table_len ? table[at].name : "nothing", at < table_len ? table[at].value : 0);
      return 1;
    }
    ++at;
  }
  if (at != table_len) {
    fprintf(stderr, "%zu of %zu lines\n", at, table_len);
    return 1;
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc > 1) {
    FILE* file = fopen(argv[1], "r");
    if (file == NULL) {
      perror(argv[1]);
      return 1;
    }
    const int result = compare(file);
    fclose(file);
    return result;
  }
  for (size_t i = 0; i < table_len; ++i) printf("%s %zu\n", table[i].name, table[i].value);
  return 0;
}
