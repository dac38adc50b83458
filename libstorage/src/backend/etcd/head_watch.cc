#include "src/backend/etcd/head_watch.h"

#include <algorithm>

#include "src/backend/etcd/keys.h"
#include "src/base/thread.h"

namespace storage::etcd {
namespace {

// Between two streams; the head is read once a second in any case.
constexpr absl::Duration kRetry = absl::Milliseconds(200);

}  // namespace

EtcdHeadWatch::EtcdHeadWatch(Store* store)
    : store_(store), thread_(StartThread("stg-watch-" + store->name(), [this] { Follow(); })) {}

EtcdHeadWatch::~EtcdHeadWatch() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    changed_.SignalAll();
  }
  call_.Cancel();
  thread_.join();
}

absl::StatusOr<int64_t> EtcdHeadWatch::Read() {
  absl::StatusOr<LaneState> state = store_->ReadLane(0);
  if (!state.ok()) return state.status();
  return state->head.lane.head;
}

int64_t EtcdHeadWatch::Wait(absl::Duration max_wait) {
  const SteadyTime until = SteadyAfter(max_wait);
  MutexLock lock(&mu_);
  while (!interrupted_ && announced_ == told_) {
    if (!changed_.WaitUntil(&mu_, until)) break;
  }
  interrupted_ = false;
  if (announced_ == told_) return 0;
  told_ = announced_;
  return told_;
}

void EtcdHeadWatch::Interrupt() {
  MutexLock lock(&mu_);
  interrupted_ = true;
  changed_.SignalAll();
}

void EtcdHeadWatch::Follow() {
  pb::WatchRequest request;
  request.mutable_create_request()->set_key(HeadKey());
  for (;;) {
    // How it ended does not matter: a cluster that is down shows in every other call.
    store_->client()
        .Watch(request, &call_, [this](const pb::WatchResponse& response) { Take(response); })
        .IgnoreError();
    const SteadyTime until = SteadyAfter(kRetry);
    MutexLock lock(&mu_);
    while (!stopping_) {
      if (!changed_.WaitUntil(&mu_, until)) break;
    }
    if (stopping_) return;
  }
}

void EtcdHeadWatch::Take(const pb::WatchResponse& response) {
  int64_t head = 0;
  for (const pb::Event& event : response.events()) {
    Head value;
    if (event.type() == pb::Event::PUT && DecodeHead(event.kv().value(), &value)) {
      head = std::max(head, value.lane.head);
    }
  }
  MutexLock lock(&mu_);
  // What changed before the stream began is read.
  interrupted_ |= response.created();
  announced_ = std::max(announced_, head);
  changed_.SignalAll();
}

}  // namespace storage::etcd
