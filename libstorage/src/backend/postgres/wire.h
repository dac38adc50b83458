// Parameters and results in PostgreSQL's binary format.
// Threads: values.
#ifndef LIBSTORAGE_SRC_BACKEND_POSTGRES_WIRE_H_
#define LIBSTORAGE_SRC_BACKEND_POSTGRES_WIRE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"

struct pg_result;

namespace storage::postgres {

using PgOid = unsigned int;

// The parameters of one statement, $1 first. Bytes and texts are not copied: they
// must live until the statement was queued.
class Params {
 public:
  Params& Int(int64_t value);
  Params& Bytes(std::string_view bytes);
  Params& Text(std::string_view text);
  Params& Ints(absl::Span<const int64_t> values);
  Params& BytesArray(absl::Span<const std::string_view> values);
  Params& Append(const Params& more);

  struct Param {
    PgOid type = 0;
    bool owned = false;
    std::string bytes;      // owned
    std::string_view view;  // not owned
    std::string_view data() const { return owned ? std::string_view(bytes) : view; }
  };
  const std::vector<Param>& all() const { return params_; }

 private:
  std::vector<Param> params_;
};

// What one statement returned. Integers are int8 in every statement of ours.
class Result {
 public:
  explicit Result(pg_result* result);
  int rows() const { return rows_; }
  int64_t affected() const;  // rows that an INSERT, UPDATE or DELETE hit
  bool IsNull(int row, int column) const;
  int64_t Int(int row, int column) const;  // 0 for NULL
  // Valid as long as the result.
  std::string_view Bytes(int row, int column) const;
  std::string Text(int row, int column) const { return std::string(Bytes(row, column)); }
  std::string tag() const;  // "COMMIT"

 private:
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
  int rows_ = 0;
};

}  // namespace storage::postgres

#endif  // LIBSTORAGE_SRC_BACKEND_POSTGRES_WIRE_H_
