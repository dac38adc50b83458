#include "src/backend/mysql/script.h"

#include "absl/strings/str_cat.h"

namespace storage::mysql {

absl::Status Script::TooLarge(size_t bytes) const {
  return MakeStatus(
      Code::kTooLarge,
      absl::StrCat("an object needs a statement of ", bytes, " bytes, and ", session_->site().where,
                   " takes ", budget_, "; raise max_allowed_packet there, or store smaller values"),
      session_->site().name);
}

absl::Status Script::Add(std::string_view statement) {
  if (statement.size() + 1 > budget_) return TooLarge(statement.size());
  if (text_.size() + statement.size() + 1 > budget_) {
    absl::Status sent = Flush();
    if (!sent.ok()) return sent;
  }
  text_.append(statement);
  text_.push_back(';');
  ++statements_;
  return absl::OkStatus();
}

absl::Status Script::Flush() {
  if (statements_ == 0) return absl::OkStatus();
  auto outcome = session_->connection()->Run("writing a batch", text_);
  text_.clear();
  statements_ = 0;
  return outcome.status();
}

absl::StatusOr<Outcome> Script::Finish(std::string_view closing, int closing_statements,
                                       int* statements) {
  if (text_.size() + closing.size() > budget_) {
    absl::Status sent = Flush();
    if (!sent.ok()) return sent;
  }
  text_.append(closing);
  *statements = statements_ + closing_statements;
  return session_->connection()->Try("writing a batch", text_);
}

absl::Status RowList::Add(std::string_view row) {
  const size_t rest = separator_.size() + row.size() + tail_.size() + 1;
  if (!text_.empty() && text_.size() + rest > script_->budget()) {
    absl::Status ended = End();
    if (!ended.ok()) return ended;
  }
  text_.append(text_.empty() ? head_ : separator_);
  text_.append(row);
  return absl::OkStatus();
}

absl::Status RowList::End() {
  if (text_.empty()) return absl::OkStatus();
  text_.append(tail_);
  absl::Status added = script_->Add(text_);
  text_.clear();
  return added;
}

}  // namespace storage::mysql
