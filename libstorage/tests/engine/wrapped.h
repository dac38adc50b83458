// A backend that passes every call on: a base for those that interfere with some.
#ifndef LIBSTORAGE_TESTS_ENGINE_WRAPPED_H_
#define LIBSTORAGE_TESTS_ENGINE_WRAPPED_H_

#include <memory>
#include <string>
#include <utility>

#include "src/backend/backend.h"

namespace storage {

class WrappedBackend : public Backend {
 public:
  explicit WrappedBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}
  const std::string& name() const override { return inner_->name(); }
  const std::string& identity() const override { return inner_->identity(); }
  bool fast_reads() const override { return inner_->fast_reads(); }
  bool durable() const override { return inner_->durable(); }
  BatchLimits limits() const override { return inner_->limits(); }
  absl::StatusOr<std::unique_ptr<LaneTxn>> BeginLane() override { return inner_->BeginLane(); }
  absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot() override {
    return inner_->OpenSnapshot();
  }
  absl::Status Get(std::string_view key, const RowSink& sink) override {
    return inner_->Get(key, sink);
  }
  size_t gets_together() const override { return inner_->gets_together(); }
  void GetMany(absl::Span<const std::string_view> keys, const ManyRowsSink& sink,
               absl::Span<absl::Status> outcomes) override {
    inner_->GetMany(keys, sink, outcomes);
  }
  absl::StatusOr<int64_t> DeleteHistory(int64_t max_rows) override {
    return inner_->DeleteHistory(max_rows);
  }
  absl::StatusOr<bool> Maintain(bool idle) override { return inner_->Maintain(idle); }
  absl::StatusOr<BackendStats> Stats() override { return inner_->Stats(); }
  absl::Status Ping() override { return inner_->Ping(); }
  absl::StatusOr<bool> ShareNumbers(const NumbersPlace& place) override {
    return inner_->ShareNumbers(place);
  }
  std::unique_ptr<HeadWatch> WatchHead() override { return inner_->WatchHead(); }

 protected:
  const std::unique_ptr<Backend> inner_;
};

}  // namespace storage

#endif  // LIBSTORAGE_TESTS_ENGINE_WRAPPED_H_
