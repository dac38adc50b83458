#include "src/api/answer.h"

#include <chrono>
#include <utility>

#include "src/api/codes.h"

namespace storage {
namespace api {

int64_t SteadyNowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void SetError(const absl::Status& status, SlabPool* slabs, stg_completion* out) noexcept {
  out->code = AbiCode(status);
  if (status.ok()) return;
  try {
    out->driver_code = DriverCodeOf(status);
    if (status.message().empty()) return;
    Slab* slab = slabs->New(Purpose::kError);
    out->slab = slab->id();
    out->message = slab->Copy(std::string_view(status.message().data(), status.message().size()));
    const std::string backend = BackendOf(status);
    if (!backend.empty()) out->backend = slab->Copy(backend);
  } catch (...) {
    // The code alone must do.
  }
}

void AnswerWrite(const std::string& key, WriteResult&& result, SlabPool* slabs,
                 stg_completion* out) {
  out->code = AbiCode(result.code);
  out->revision = result.revision;
  if (!result.error.ok()) {
    SetError(result.error, slabs, out);
    out->code = AbiCode(result.code);
    return;
  }
  if (result.current.mod_rev == 0) return;
  Slab* slab = slabs->New(Purpose::kConflict);
  out->slab = slab->id();
  auto* row = static_cast<stg_row*>(slab->Allocate(sizeof(stg_row)));
  row->key = slab->Copy(key);
  row->value = slab->View(result.current_value.view());
  row->mod_revision = result.current.mod_rev;
  row->create_revision = result.current.create_rev;
  row->expire_at_ms = result.current.expire_at_ms;
  // Over the budget if need be: the lane that answers must not wait, and the
  // engine holds these bytes already.
  slab->Hold(std::move(result.current_value), /*exclusive=*/true);
  out->rows = row;
  out->rows_len = 1;
}

}  // namespace api
}  // namespace storage
