// The claim on a metadata store: keys that are bound to a lease of this process, which a
// thread prolongs. It ends with the process, some seconds later, or at once by Release.
// Every transaction of the store compares that it still is there.
//
// A server that shares has a key of its own; who wants to be alone puts another one if
// there is neither such a one nor any of the first kind. Compared and put at once.
// Threads: one at a time.
#ifndef LIBSTORAGE_SRC_BACKEND_ETCD_CLAIM_H_
#define LIBSTORAGE_SRC_BACKEND_ETCD_CLAIM_H_

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/backend/checks.h"
#include "src/backend/etcd/client.h"
#include "src/backend/holder.h"

namespace storage::etcd {

class Claim {
 public:
  // where: of the store, for messages.
  Claim(std::unique_ptr<Client> client, std::string where);
  ~Claim() { Release(); }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  // BUSY names who has it. Who has it and died is waited for: seconds.
  absl::Status TakeAlone();
  // With the lock of starts; alone when nobody else is there (*only = true).
  absl::Status TakeShare(bool* only);
  // Once more, when it was lost; waits for nobody.
  absl::Status TakeAgain();

  absl::StatusOr<bool> LockStarts(int64_t wait_ms);  // false = another server starts
  // From shared to alone; needs the lock of starts. False: others stay.
  absl::StatusOr<bool> BecomeOnly(int64_t wait_ms);
  // From alone to shared; the lock of starts stays.
  absl::Status ShareAgain();
  absl::StatusOr<bool> OthersThere();  // whether another server has its share
  // only: from alone to shared. Ends the lock of starts.
  absl::Status AdmitOthers(bool only);
  void Release();

  bool lost();  // etcd said so
  void SetLost();
  // To be ours in a transaction, and what is there otherwise.
  const std::string& key() const { return key_; }
  int64_t lease();
  const std::string& share() const { return share_; }  // key of our share

 private:
  struct Span {
    std::string key, end;  // end "" = the one key
  };
  struct Patience;  // with a holder that may be dead
  using Keys = std::vector<pb::KeyValue>;

  absl::Status Grant();
  // Puts our keys if none is in the spans; the answer: those that are.
  absl::StatusOr<Keys> PutIfFree(const std::vector<Span>& spans,
                                 const std::vector<std::string>& keys);
  // The same until the time is up. Empty = done.
  absl::StatusOr<Keys> PutWhenFree(const std::vector<Span>& spans,
                                   const std::vector<std::string>& keys, int64_t wait_ms);
  // While the lock of starts is ours, or was until they went with it.
  absl::Status Remove(const std::vector<std::string>& keys);
  absl::StatusOr<bool> MayGo(Patience* patience, const pb::KeyValue& other);
  absl::Status Busy(const std::string& why, const pb::KeyValue& other) const;
  std::vector<Span> Others() const;  // who is alone, and servers but this one
  void Drop();

  // The thread.
  void Run();
  bool WaitForBeat(SteadyTime next, int64_t* lease);
  void Ended(int64_t lease);

  const std::unique_ptr<Client> client_;
  const std::string where_;
  const std::string holder_ = DescribeHolder();
  const std::string share_;  // key of our share
  std::string key_;          // that one, or who is alone's
  std::thread thread_;
  Mutex mutex_;
  CondVar stop_;
  int64_t lease_ ABSL_GUARDED_BY(mutex_) = 0;  // 0 = none
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace storage::etcd

#endif  // LIBSTORAGE_SRC_BACKEND_ETCD_CLAIM_H_
