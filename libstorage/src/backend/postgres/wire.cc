#include "src/backend/postgres/wire.h"

#include <libpq-fe.h>

#include <cstdlib>
#include <utility>

namespace storage::postgres {
namespace {

// Of pg_type; fixed for ever.
constexpr PgOid kBytea = 17, kInt8 = 20, kText = 25, kByteaArray = 1001, kInt8Array = 1016;

void Append32(std::string* out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

void Append64(std::string* out, int64_t value) {
  const auto bits = static_cast<uint64_t>(value);
  Append32(out, static_cast<uint32_t>(bits >> 32));
  Append32(out, static_cast<uint32_t>(bits));
}

// One dimension from 1 upwards, no NULLs; none at all when it is empty.
std::string ArrayHead(PgOid element, size_t size) {
  std::string out;
  Append32(&out, size == 0 ? 0 : 1);
  Append32(&out, 0);
  Append32(&out, element);
  if (size == 0) return out;
  Append32(&out, static_cast<uint32_t>(size));
  Append32(&out, 1);
  return out;
}

}  // namespace

Params& Params::Int(int64_t value) {
  Param param{kInt8, true, {}, {}};
  Append64(&param.bytes, value);
  params_.push_back(std::move(param));
  return *this;
}

Params& Params::Bytes(std::string_view bytes) {
  params_.push_back(Param{kBytea, false, {}, bytes});
  return *this;
}

Params& Params::Text(std::string_view text) {
  params_.push_back(Param{kText, false, {}, text});
  return *this;
}

Params& Params::Ints(absl::Span<const int64_t> values) {
  Param param{kInt8Array, true, ArrayHead(kInt8, values.size()), {}};
  for (const int64_t value : values) {
    Append32(&param.bytes, 8);
    Append64(&param.bytes, value);
  }
  params_.push_back(std::move(param));
  return *this;
}

Params& Params::BytesArray(absl::Span<const std::string_view> values) {
  Param param{kByteaArray, true, ArrayHead(kBytea, values.size()), {}};
  size_t size = param.bytes.size();
  for (const std::string_view value : values) size += 4 + value.size();
  param.bytes.reserve(size);
  for (const std::string_view value : values) {
    Append32(&param.bytes, static_cast<uint32_t>(value.size()));
    param.bytes.append(value);
  }
  params_.push_back(std::move(param));
  return *this;
}

Params& Params::Append(const Params& more) {
  params_.insert(params_.end(), more.params_.begin(), more.params_.end());
  return *this;
}

void Result::Clear::operator()(pg_result* result) const { PQclear(result); }

Result::Result(pg_result* result) : result_(result), rows_(PQntuples(result)) {}

int64_t Result::affected() const { return std::atoll(PQcmdTuples(result_.get())); }

std::string Result::tag() const { return PQcmdStatus(result_.get()); }

bool Result::IsNull(int row, int column) const {
  return PQgetisnull(result_.get(), row, column) != 0;
}

int64_t Result::Int(int row, int column) const {
  uint64_t bits = 0;
  for (const char c : Bytes(row, column)) bits = bits << 8 | static_cast<unsigned char>(c);
  return static_cast<int64_t>(bits);
}

std::string_view Result::Bytes(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}

}  // namespace storage::postgres
