// Script: statements of a lane transaction, collected and sent together. What
// does not fit a packet is sent before, in parts.
// RowList: one statement with many rows, divided when it gets too long.
// Threads: one at a time.
#ifndef LIBSTORAGE_SRC_BACKEND_MYSQL_SCRIPT_H_
#define LIBSTORAGE_SRC_BACKEND_MYSQL_SCRIPT_H_

#include <string>
#include <string_view>
#include <utility>

#include "src/backend/mysql/lane_session.h"

namespace storage::mysql {

class Script {
 public:
  Script(LaneSession* session, size_t budget) : session_(session), budget_(budget) {}

  // TOO_LARGE for a statement that no packet can carry.
  absl::Status Add(std::string_view statement);
  // Sends what was collected, and closing as the last statements of the same text.
  // *statements = how many the text has.
  absl::StatusOr<Outcome> Finish(std::string_view closing, int closing_statements, int* statements);

  size_t budget() const { return budget_; }
  absl::Status TooLarge(size_t bytes) const;

 private:
  absl::Status Flush();

  LaneSession* const session_;
  const size_t budget_;
  std::string text_;
  int statements_ = 0;
};

class RowList {
 public:
  // head row separator row ... tail
  RowList(Script* script, std::string head, std::string separator, std::string tail)
      : script_(script),
        head_(std::move(head)),
        separator_(std::move(separator)),
        tail_(std::move(tail)) {}

  absl::Status Add(std::string_view row);
  absl::Status End();  // the last statement; nothing when there was no row
  bool begins() const { return text_.empty(); }

 private:
  Script* const script_;
  const std::string head_, separator_, tail_;
  std::string text_;
};

}  // namespace storage::mysql

#endif  // LIBSTORAGE_SRC_BACKEND_MYSQL_SCRIPT_H_
