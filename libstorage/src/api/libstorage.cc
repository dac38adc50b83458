// The C ABI: extern "C" functions over Session, each behind the exception
// firewall. Arguments are checked here; everything else is below.
#include "libstorage.h"

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "src/api/answer.h"
#include "src/api/codes.h"
#include "src/api/open.h"
#include "src/api/session.h"
#include "src/api/watch.h"

using storage::Code;
using storage::MakeStatus;
using storage::api::Guard;
using storage::api::GuardVoid;

namespace {

bool BadBytes(const void* data, size_t size) { return data == nullptr && size != 0; }

std::string_view View(const void* data, size_t size) {
  return {size == 0 ? "" : static_cast<const char*>(data), size};
}

absl::Status Null(const char* what) {
  return MakeStatus(Code::kInvalid, std::string(what) + " must not be NULL");
}

std::string Text(const char* text) { return text == nullptr ? std::string() : std::string(text); }

absl::Status ResourceOf(const stg_resource* in, storage::Resource* out) {
  if (in == nullptr) return Null("resource");
  if (in->struct_size < sizeof(stg_resource)) {
    return MakeStatus(Code::kInvalid, "stg_resource.struct_size is too small");
  }
  if ((in->flags & ~(STG_RESOURCE_NAMESPACED | STG_RESOURCE_CUSTOM)) != 0) {
    return MakeStatus(Code::kInvalid, "unknown resource flags");
  }
  out->group = Text(in->group);
  out->resource = Text(in->resource);
  out->kind = Text(in->kind);
  out->root = Text(in->root);
  out->key_prefix = Text(in->key_prefix);
  out->namespaced = (in->flags & STG_RESOURCE_NAMESPACED) != 0;
  out->custom = (in->flags & STG_RESOURCE_CUSTOM) != 0;
  if (out->resource.empty() || out->key_prefix.empty() || out->key_prefix.back() != '/') {
    return MakeStatus(Code::kInvalid,
                      "a resource needs its plural name and a key_prefix that ends in '/'");
  }
  return absl::OkStatus();
}

// An inline INVALID that owns nothing: for calls without a usable engine.
uint64_t RefuseSubmit(uint64_t user, const char* why, stg_completion* done) {
  if (done == nullptr) return 0;
  *done = storage::api::NewCompletion(0, user);
  done->code = STG_CODE_INVALID;
  done->message = {reinterpret_cast<const uint8_t*>(why), std::strlen(why)};
  return 0;
}

}  // namespace

extern "C" {

const char* stg_code_name(stg_code code) { return storage::CodeName(static_cast<Code>(code)); }

int32_t stg_code_class(stg_code code) {
  return static_cast<int32_t>(storage::ClassOf(static_cast<Code>(code)));
}

stg_code stg_engine_open(const stg_options* options, stg_engine** out, stg_error* error) {
  if (out != nullptr) *out = nullptr;
  return Guard(error, [&]() -> absl::Status {
    if (options == nullptr) return Null("options");
    if (out == nullptr) return Null("out");
    auto session = storage::api::OpenSession(*options);
    if (!session.ok()) return session.status();
    *out = session->release();
    return absl::OkStatus();
  });
}

stg_code stg_engine_shutdown(stg_engine* engine, stg_error* error) {
  return Guard(error, [&] { return engine == nullptr ? Null("engine") : engine->Shutdown(); });
}

stg_code stg_engine_close(stg_engine* engine, stg_error* error) {
  const stg_code code = stg_engine_shutdown(engine, error);
  GuardVoid([&] { delete engine; });
  return code;
}

int stg_engine_event_fd(stg_engine* engine) {
  return engine == nullptr ? -1 : engine->queue().event_fd();
}

stg_code stg_resource_register(stg_engine* engine, const stg_resource* resource, int32_t* out,
                               stg_error* error) {
  return Guard(error, [&]() -> absl::Status {
    if (engine == nullptr) return Null("engine");
    if (out == nullptr) return Null("out");
    storage::Resource described;
    if (absl::Status valid = ResourceOf(resource, &described); !valid.ok()) return valid;
    absl::StatusOr<storage::ResourceId> id = engine->Register(described);
    if (id.ok()) *out = *id;
    return id.status();
  });
}

stg_code stg_engine_check(stg_engine* engine, const char* check, stg_error* error) {
  return Guard(error, [&]() -> absl::Status {
    if (engine == nullptr) return Null("engine");
    if (check == nullptr) return Null("check");
    return engine->Check(check);
  });
}

stg_code stg_engine_info(stg_engine* engine, const char* what, stg_bytes* json, uint64_t* slab) {
  return Guard(nullptr, [&]() -> absl::Status {
    if (engine == nullptr || what == nullptr || json == nullptr || slab == nullptr) {
      return Null("every argument");
    }
    absl::StatusOr<std::string> text = engine->Info(what);
    if (!text.ok()) return text.status();
    storage::api::Slab* memory = engine->slabs().New(storage::api::Purpose::kInfo);
    *slab = memory->id();
    *json = memory->Copy(*text);
    return absl::OkStatus();
  });
}

uint64_t stg_submit(stg_engine* engine, const stg_op* op, const void* key, size_t key_size,
                    const void* value, size_t value_size, const void* attrs, size_t attrs_size,
                    stg_completion* done) {
  if (engine == nullptr || op == nullptr || done == nullptr) {
    return RefuseSubmit(0, "engine, op and done must not be NULL", done);
  }
  if (op->struct_size < sizeof(stg_op)) {
    return RefuseSubmit(0, "stg_op.struct_size is too small", done);
  }
  if (BadBytes(key, key_size) || BadBytes(value, value_size) || BadBytes(attrs, attrs_size)) {
    return RefuseSubmit(op->user, "bytes with a size must not be NULL", done);
  }
  try {
    return engine->Submit(
        {*op, View(key, key_size), View(value, value_size), View(attrs, attrs_size)}, done);
  } catch (...) {
    // Only from before the operation was published: nothing else completes it.
    *done = storage::api::NewCompletion(0, op->user);
    storage::api::SetError(storage::api::StatusOfCurrentException(), &engine->slabs(), done);
    return 0;
  }
}

void stg_cancel(stg_engine* engine, uint64_t op) {
  if (engine != nullptr) GuardVoid([&] { engine->Cancel(op); });
}

size_t stg_drain(stg_engine* engine, stg_completion* out, size_t max) {
  if (engine == nullptr || out == nullptr) return 0;
  return engine->queue().Drain(out, max);
}

void stg_slab_release(stg_engine* engine, const uint64_t* slabs, size_t count) {
  if (engine == nullptr || slabs == nullptr) return;
  GuardVoid([&] { engine->slabs().Release(slabs, count); });
}

stg_code stg_watch_open(stg_engine* engine, int32_t resource, uint64_t user, const void* start,
                        size_t start_size, const void* end, size_t end_size, int64_t after,
                        stg_watch** out, stg_error* error) {
  if (out != nullptr) *out = nullptr;
  return Guard(error, [&]() -> absl::Status {
    if (engine == nullptr) return Null("engine");
    if (out == nullptr) return Null("out");
    if (BadBytes(start, start_size) || BadBytes(end, end_size)) return Null("bytes with a size");
    const storage::Range range{std::string(View(start, start_size)),
                               std::string(View(end, end_size))};
    absl::StatusOr<stg_watch*> watch = engine->OpenWatch(resource, user, range, after);
    if (watch.ok()) *out = *watch;
    return watch.status();
  });
}

void stg_watch_read(stg_watch* watch, int64_t max_events, int64_t max_bytes, stg_watch_batch* out) {
  if (out == nullptr) return;
  *out = stg_watch_batch{};
  if (watch == nullptr) {
    out->code = STG_CODE_INVALID;
    return;
  }
  try {
    watch->Read(max_events, max_bytes, out);
  } catch (...) {
    // Events may be lost: the watch must not be read on.
    out->code = storage::api::AbiCode(storage::api::StatusOfCurrentException());
    out->events_len = 0;
  }
}

void stg_watch_request_progress(stg_watch* watch) {
  if (watch != nullptr) GuardVoid([&] { watch->RequestProgress(); });
}

void stg_watch_close(stg_watch* watch) {
  if (watch != nullptr) GuardVoid([&] { watch->session()->CloseWatch(watch); });
}

}  // extern "C"
