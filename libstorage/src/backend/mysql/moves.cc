// Moves of a topology change: rows of objects as they are, no undo log.
#include <map>

#include "absl/strings/str_cat.h"
#include "src/backend/checks.h"
#include "src/backend/mysql/lane_txn.h"

namespace storage::mysql {
namespace {

struct Numbers {
  int64_t objects = 0;
  int64_t bytes = 0;
};
using Kinds = std::map<std::string_view, Numbers>;

absl::Status AddKinds(Script* script, const Kinds& kinds) {
  RowList list(script, "INSERT INTO stg_kinds VALUES", ",",
               " ON DUPLICATE KEY UPDATE objects = objects + VALUES(objects), bytes = bytes + "
               "VALUES(bytes)");
  absl::Status status;
  for (const auto& [collection, numbers] : kinds) {
    std::string row = "(";
    AppendBytes(&row, collection);
    absl::StrAppend(&row, ",", numbers.objects, ",", numbers.bytes, ")");
    if (status.ok()) status = list.Add(row);
  }
  return status.ok() ? list.End() : status;
}

}  // namespace

// A key that exists, or another object with the create revision, is an error of
// the server: an index of its own has both.
absl::Status MysqlLaneTxn::Import(absl::Span<const MovedRow> rows) {
  if (stage_ != Stage::kOpen) return Misused("Import comes before the lane is decided");
  absl::Status status = CheckImport(rows, lane_, session_->site().name);
  if (!status.ok()) return status;
  moved_ = true;
  RowList list(&script_,
               "INSERT INTO stg_objects(create_rev, mod_rev, expire_ms, k, attrs, value) VALUES",
               ",", "");
  Kinds kinds;
  for (const auto& [collection, row] : rows) {
    const int64_t expire = row.meta.expire_at_ms;
    std::string text = absl::StrCat("(", row.meta.create_rev, ",", row.meta.mod_rev, ",",
                                    expire == 0 ? "NULL" : absl::StrCat(expire), ",");
    AppendBytes(&text, row.key);
    text.push_back(',');
    AppendBytes(&text, row.attrs);
    text.push_back(',');
    AppendBytes(&text, row.value);
    text.push_back(')');
    Numbers& numbers = kinds[collection];
    ++numbers.objects;
    numbers.bytes += static_cast<int64_t>(row.value.size());
    if (status.ok()) status = list.Add(text);
  }
  if (status.ok()) status = list.End();
  return Failed(status.ok() ? AddKinds(&script_, kinds) : status);
}

// By the primary key, which is the create revision; the keys are compared first.
absl::Status MysqlLaneTxn::CheckThere(absl::Span<const DiscardedRow> rows) {
  std::map<int64_t, std::string_view> keys;
  std::string list;
  for (const DiscardedRow& row : rows) {
    keys[row.create_rev] = row.key;
    absl::StrAppend(&list, list.empty() ? "" : ",", row.create_rev);
  }
  auto found = session_->connection()->Select(
      "looking for objects",
      absl::StrCat("SELECT create_rev, k FROM stg_objects WHERE create_rev IN (", list, ")"));
  if (!found.ok()) return found.status();
  size_t same = 0;
  while (found->Next()) {
    const auto key = keys.find(found->Int(0));
    same += key != keys.end() && key->second == found->Bytes(1) ? 1 : 0;
  }
  return same == rows.size() ? absl::OkStatus() : Misused("Discard: an object that is not there");
}

absl::Status MysqlLaneTxn::Discard(absl::Span<const DiscardedRow> rows) {
  if (stage_ != Stage::kOpen) return Misused("Discard comes before the lane is decided");
  absl::Status status = CheckDiscard(rows, lane_, session_->site().name);
  if (!status.ok() || rows.empty()) return status;
  moved_ = true;
  status = CheckThere(rows);
  RowList list(&script_, "DELETE FROM stg_objects WHERE create_rev IN (", ",", ")");
  Kinds kinds;
  for (const DiscardedRow& row : rows) {
    Numbers& numbers = kinds[row.collection];
    --numbers.objects;
    numbers.bytes -= row.bytes;
    if (status.ok()) status = list.Add(absl::StrCat(row.create_rev));
  }
  if (status.ok()) status = list.End();
  return Failed(status.ok() ? AddKinds(&script_, kinds) : status);
}

}  // namespace storage::mysql
