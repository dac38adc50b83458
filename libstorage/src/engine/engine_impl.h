// Internal to src/engine: the parts of an open engine and how they hang together.
// open.cc starts it, gets.cc and reads.cc answer, stats.cc reports, housekeeper.cc keeps it.
#ifndef LIBSTORAGE_SRC_ENGINE_ENGINE_IMPL_H_
#define LIBSTORAGE_SRC_ENGINE_ENGINE_IMPL_H_

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "src/base/mutex.h"
#include "src/engine/engine.h"
#include "src/engine/executor.h"
#include "src/engine/housekeeper.h"
#include "src/engine/lane.h"
#include "src/engine/merge.h"
#include "src/engine/routes.h"
#include "src/revision/block_sequencer.h"
#include "src/revision/epoch.h"
#include "src/revision/shared_sequencer.h"
#include "src/watch/hub.h"

namespace storage {

class EngineImpl : public Engine {
 public:
  explicit EngineImpl(const EngineOptions& options) : options_(options) {}
  ~EngineImpl() override;
  absl::Status Start();  // open.cc; on an error the object is only good for destruction

  absl::Status Close() override;
  absl::StatusOr<ResourceId> Register(const Resource& resource) override;
  void Write(std::shared_ptr<WriteOp> op) override;
  bool FastGet(ResourceId resource, std::string_view key) const override;
  uint64_t BackendsOf(ResourceId resource, std::string_view key) const override;
  uint64_t BackendsOf(ResourceId resource, const Range& range) const override;
  absl::Status Get(ResourceId resource, std::string_view key, const ReadOptions& options,
                   const RowSink& sink, ReadHeader* header) override;
  size_t GetsTogether(uint64_t backends) const override;
  void GetMany(absl::Span<PointGet> gets) override;
  absl::Status List(ResourceId resource, const Range& range, const ReadOptions& options,
                    const RowSink& sink, ReadHeader* header) override;
  absl::StatusOr<int64_t> Count(ResourceId resource, const Range& range,
                                ReadHeader* header) override;
  absl::StatusOr<int64_t> CurrentRevision(ResourceId resource) override;
  absl::StatusOr<std::unique_ptr<Watch>> StartWatch(ResourceId resource, const Range& range,
                                                    int64_t after,
                                                    std::function<void()> ready) override;
  absl::Status Compact(int64_t rev) override;
  std::vector<std::string> BackendNames() const override;
  absl::Status CheckBackend(const std::string& name) override;
  absl::Status CheckMetadata() override;
  absl::Status CheckEngine() override;
  std::string StatsJson() override;
  std::string LayoutJson() override;

 private:
  struct Entry {
    Resource resource;
    std::unique_ptr<const ResourceRoute> route;
    const std::vector<int>& reach;  // lanes its keys can live in, ascending
  };
  struct Part {  // one backend and its lane
    std::string name;
    Endpoint endpoint;
    const Rule* rule = nullptr;  // null = the default database
    std::unique_ptr<Backend> backend;
    std::unique_ptr<LaneFollower> follower;  // with several servers
    std::unique_ptr<CommitLane> lane;
  };
  static constexpr size_t kMaxResources = 16384;
  // Below the 3 s that the watch cache waits for a fresh revision.
  static constexpr absl::Duration kReadPatience = absl::Milliseconds(2500);

  // open.cc
  absl::Status OpenParts();
  absl::StatusOr<StartFacts> Gather();
  absl::Status Adopt(const StartPlan& plan, const StartFacts& facts);
  void StartThreads(const std::vector<Lane>& lanes, int64_t rev);
  HubEnv MakeHubEnv();
  LaneEnv MakeLaneEnv(size_t i, const Lane& lane);
  // several.cc: what is different when other servers have the topology too
  absl::Status OpenMetadataStore();
  // Joins those that run. False: it turned out that nobody does, and this one starts.
  absl::StatusOr<bool> Join(StartFacts* facts);
  absl::Status CheckSameRoutes();
  void StartSequencer(int64_t rev, std::vector<Sequencer::LaneMark> marks);
  std::unique_ptr<LaneFollower> MakeFollower(size_t i);
  void ShareNumbers();
  void StartFollowing();
  void StopFollowing();
  absl::Status AwaitServers();
  absl::Status ShareResource(const Resource& resource) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What is remembered, changed as others may change it too. change returns whether it did.
  absl::Status ChangeRoutes(absl::FunctionRef<bool(Routes*)> change);
  absl::Status Leave();
  absl::Status EndAsTheLast();
  // A number at least as high as every one acknowledged or shown before the call, by
  // whomever: for a resource that lives in these lanes; of all; of the one lane.
  void FreshOf(const std::vector<int>& lanes, Sequencer::Answer answer) const;
  absl::StatusOr<int64_t> FreshRev() const;
  absl::StatusOr<int64_t> FreshHead(int lane) const;
  // The lane's own numbers reach rev, which was handed out (FUTURE_REVISION otherwise).
  absl::Status RaiseTo(int lane, int64_t rev, ReadHeader* header) const;
  // places.cc
  absl::Status CheckPlaces() const;
  absl::Status CheckOwnDatabase(const Part& part, const Backend& opened) const;
  std::string TopologyFile() const;
  std::string PlaceOf(const Part& part) const;  // "t.yaml:4:3: rule "pods"", "--etcd-servers"
  absl::Status AtPart(const Part& part, const absl::Status& status) const;  // with its place
  absl::Status AtMetadata(const absl::Status& status) const;
  // route_check.cc
  absl::Status LoadRoutes();
  absl::Status CheckRoutes();
  absl::Status CheckLeftOut(const RememberedPlace& place) const;
  absl::Status CheckLeftOutServer(const RememberedPlace& place) const;
  void RememberCounts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);  // at an orderly end
  absl::Status CheckStored(const Resource& resource) const;
  bool SameRoute(const Entry& known, const Resource& resource) const;
  absl::Status Remember(const Resource& resource) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  void Log(LogLevel level, std::string message) const;

  const Entry* Find(ResourceId id) const;
  ResourceId ResourceOf(std::string_view key);  // longest registered prefix; -1 = none
  // What users call the resource with this key prefix: "pods", "services/specs",
  // "stable.example.com/shirts"; the prefix itself when no resource has it.
  std::string CollectionName(const std::string& key_prefix);
  absl::Status Closed() const;

  // read_places.cc
  std::vector<int> LanesOf(const Entry& entry, const Range& range) const;
  absl::StatusOr<std::unique_ptr<Snapshot>> OpenSnapshot(int lane) const;

  // gets.cc
  void GetLatest(int lane, absl::Span<PointGet* const> gets);
  absl::Status Believe(int lane) const;  // that it shows its database as it is now

  // reads.cc
  absl::Status CheckHandedOut(int64_t rev, ReadHeader* header) const;
  // What a reader of the lane may be told; alone: of a resource with all keys there.
  int64_t NumberOf(int lane, bool alone) const {
    return alone ? sequencer_->CompleteAlone(lane) : sequencer_->Complete(lane);
  }
  absl::Status WaitFor(const std::vector<int>& lanes, int64_t rev, ReadHeader* header) const;
  // alone: all keys of the resource live in the one lane.
  absl::Status CheckMinimum(const std::vector<int>& lanes, bool alone, const ReadOptions& options,
                            ReadHeader* header) const;
  absl::Status ListOne(int lane, const Range& range, const ReadOptions& options,
                       const RowSink& sink, ReadHeader* header);
  absl::Status ListMerged(const std::vector<int>& lanes, const Range& range,
                          const ReadOptions& options, const RowSink& sink, ReadHeader* header);
  // Snapshots of all lanes at header->revision. *overtaken: a compaction was faster.
  absl::Status OpenMerged(const std::vector<int>& lanes, const Range& range,
                          const ReadOptions& options, std::vector<ChunkedRows>* sources,
                          bool* overtaken, ReadHeader* header);

  const EngineOptions options_;
  std::unique_ptr<Router> router_;
  Endpoint metadata_endpoint_;
  std::unique_ptr<MetadataStore> metadata_;
  bool several_ = false;     // other servers may have the topology at the same time
  std::string unshareable_;  // why they may not
  std::vector<Part> parts_;  // by lane number: rules in order, then the default
  LaneOwner owner_;
  Routes routes_;                // after Start: changed under mu_
  bool routes_changed_ = false;  // since the last start
  std::unique_ptr<Sequencer> sequencer_;
  SharedSequencer* shared_sequencer_ = nullptr;  // the same one, with several servers
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Hub> hub_;
  std::unique_ptr<Housekeeper> housekeeper_;
  std::atomic<bool> started_{false};
  std::atomic<bool> closed_{false};
  Mutex close_mu_;

  // Entries are added under mu_ and read without it; they live as long as the engine.
  Mutex mu_;
  std::map<std::string, ResourceId> by_prefix_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<Entry>> entries_ ABSL_GUARDED_BY(mu_);
  std::array<std::atomic<const Entry*>, kMaxResources> table_{};
};

}  // namespace storage

#endif  // LIBSTORAGE_SRC_ENGINE_ENGINE_IMPL_H_
