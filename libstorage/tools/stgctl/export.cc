// stgctl export: all objects in an etcd, as stock Kubernetes keeps them. What it does
// about resource versions, and why: docs/stgctl.md, "Resource versions after an export".
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/backend/etcd/plain.h"
#include "src/engine/held_set.h"
#include "tools/stgctl/commands.h"
#include "tools/stgctl/export_copy.h"
#include "tools/stgctl/stop.h"

namespace storage::stgctl {
namespace {

constexpr int64_t kMostRaise = 5000000;  // by itself: some minutes

absl::Status Invalid(std::string message) { return MakeStatus(Code::kInvalid, std::move(message)); }

class Export {
 public:
  Export(const Context& context, const ExportFlags& flags) : context_(context), flags_(flags) {}
  absl::Status Run();
  void Print() const;

 private:
  absl::Status OpenSet();
  absl::Status OpenEtcd();
  absl::Status CheckNotOurs() const;
  absl::Status CheckRoot();
  absl::Status CheckTaken(bool* same);
  absl::Status CheckRaise() const;
  absl::Status Write();
  absl::Status Raise();
  absl::Status Compare(const char* label, std::string* difference);
  absl::Status InEtcd(const absl::Status& status) const;
  PlainCopy::Told Told(Progress* progress) const;
  int64_t MissingRevisions() const;
  nlohmann::json ToJson() const;
  std::string AboutRevisions() const;

  const Context& context_;
  const ExportFlags& flags_;
  std::unique_ptr<HeldSet> set_;
  std::unique_ptr<PlainEtcd> etcd_;
  std::unique_ptr<PlainCopy> copy_;
  std::string place_;  // of the etcd, for messages
  PlainEtcd::About about_;
  int64_t total_ = 0;    // objects, for progress
  int64_t outside_ = 0;  // keys of the set outside the root
  int64_t raised_ = 0;
  bool resumed_ = false;
  std::string result_;
  CopyCounts counts_;
  PlainCopy::Found found_;
};

absl::Status Export::InEtcd(const absl::Status& status) const {
  if (status.ok()) return status;
  return MakeStatus(CodeOf(status), absl::StrCat(place_, ": ", status.message()));
}

PlainCopy::Told Export::Told(Progress* progress) const {
  return [this, progress](int64_t done) {
    progress->Update(done, total_);
    return !Stopped();
  };
}

absl::Status Export::OpenSet() {
  EngineOptions options;
  options.topology_path = flags_.places.topology;
  options.default_endpoint = flags_.places.default_endpoint;
  options.metadata_endpoint = flags_.places.metadata_endpoint;
  options.default_tls = flags_.default_tls;
  options.metadata_tls = flags_.metadata_tls;
  absl::StatusOr<std::unique_ptr<HeldSet>> set = HeldSet::Open(std::move(options));
  if (!set.ok()) return set.status();
  set_ = *std::move(set);
  absl::StatusOr<Sum> stored = set_->Stored();
  if (!stored.ok()) return stored.status();
  total_ = stored->objects;
  return absl::OkStatus();
}

absl::Status Export::OpenEtcd() {
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(flags_.etcd);
  if (!endpoint.ok()) return Invalid(absl::StrCat("--stock-etcd: ", endpoint.status().message()));
  if (endpoint->kind != EndpointKind::kEtcd) {
    return Invalid(
        "--stock-etcd: stock Kubernetes keeps its objects in etcd; name one, like "
        "http://127.0.0.1:2379");
  }
  place_ = absl::StrCat("the etcd ", endpoint->redacted);
  EtcdOptions options;
  options.endpoints = endpoint->text;
  const TlsSettings& tls = flags_.etcd_tls;
  options.tls = {tls.ca_file, tls.cert_file, tls.key_file, tls.skip_verify};
  absl::StatusOr<std::unique_ptr<PlainEtcd>> etcd = PlainEtcd::Open(options);
  if (!etcd.ok()) return InEtcd(etcd.status());
  etcd_ = *std::move(etcd);
  absl::StatusOr<PlainEtcd::About> about = etcd_->Describe();
  if (!about.ok()) return InEtcd(about.status());
  about_ = *std::move(about);
  copy_ = std::make_unique<PlainCopy>(set_.get(), etcd_.get(), RangeUnder(flags_.root));
  return absl::OkStatus();
}

// Its values have our envelope, and it is what is read: the copy would eat its source.
absl::Status Export::CheckNotOurs() const {
  for (const HeldSet::Database& database : set_->databases()) {
    if (!absl::StartsWith(database.backend->identity(), about_.cluster + "-")) continue;
    return Invalid(absl::StrCat(
        place_, " is ", database.label(),
        " of this topology, whose values stock Kubernetes cannot read: name another one, a new "
        "etcd with an empty data directory (on another port, if it is to run on the same "
        "machine)"));
  }
  if (!about_.ours) return absl::OkStatus();
  return Invalid(absl::StrCat(place_,
                              " is a database or a metadata store of libstorage: name another "
                              "one, a new etcd with an empty data directory"));
}

absl::Status Export::CheckRoot() {
  if (flags_.root.size() < 2 || flags_.root.front() != '/' || flags_.root.back() != '/') {
    return Invalid("--root: begin and end it with a slash, like /registry/");
  }
  const Range root = RangeUnder(flags_.root);
  absl::StatusOr<int64_t> inside = set_->Count(root);
  absl::StatusOr<int64_t> before = set_->Count({"", root.start});
  absl::StatusOr<int64_t> after = set_->Count({root.end, ""});
  for (const auto* count : {&inside, &before, &after}) {
    if (!count->ok()) return count->status();
  }
  outside_ = *before + *after;
  if (*inside > 0 || outside_ == 0) return absl::OkStatus();
  return Invalid(absl::StrCat("no object of these databases is under ", flags_.root, ", ", outside_,
                              " are elsewhere: name the API server's --etcd-prefix with --root"));
}

// What is there already: ours from a run that was ended, or somebody's.
absl::Status Export::CheckTaken(bool* same) {
  resumed_ = about_.mark == set_->m_id();
  if (resumed_ || flags_.force) return absl::OkStatus();
  absl::StatusOr<int64_t> there = etcd_->Count(RangeUnder(flags_.root));
  if (!there.ok()) return InEtcd(there.status());
  if (*there == 0 && about_.mark.empty()) return absl::OkStatus();
  std::string difference = "it is the copy of another control plane, which was not finished";
  if (about_.mark.empty()) {
    absl::Status status = Compare("comparing", &difference);
    if (!status.ok()) return status;
    *same = difference.empty();
    if (*same) return absl::OkStatus();
  }
  return MakeStatus(
      Code::kExists,
      absl::StrCat(
          place_, " holds ", *there, " keys under ", flags_.root,
          ", and they are not these objects (", difference,
          "): name an empty etcd, or add --force, which overwrites the keys that differ and "
          "removes those that the databases do not have"));
}

int64_t Export::MissingRevisions() const {
  return std::max<int64_t>(0, set_->highest() - about_.revision);
}

absl::Status Export::CheckRaise() const {
  if (flags_.raise != "auto" || MissingRevisions() <= kMostRaise) return absl::OkStatus();
  return Invalid(absl::StrCat(
      "clients may hold resource versions up to ", set_->highest(), ", and ", place_,
      " is at revision ", about_.revision, ": it would take ", MissingRevisions(),
      " writes to raise it. Stop that etcd, make it begin there, and start it on the new "
      "directory:\n"
      "  etcdutl snapshot restore DATA-DIR/member/snap/db --skip-hash-check --bump-revision ",
      MissingRevisions(),
      " --mark-compacted --data-dir NEW-DATA-DIR\n"
      "(one member, while it is empty; etcdutl 3.5.21 has these options). Then run this again. Or "
      "add --raise always to write them all, or --raise never (docs/stgctl.md says what it "
      "costs)"));
}

absl::Status Export::Raise() {
  const int64_t from = about_.revision, by = MissingRevisions();
  if (flags_.raise == "never" || by == 0) return absl::OkStatus();
  Progress progress(context_, absl::StrCat("raising the revision by ", by));
  const absl::Status status = etcd_->Raise(set_->highest(), [&](int64_t at) {
    progress.Update(at - from, by);
    return !Stopped();
  });
  raised_ = by;
  if (CodeOf(status) == Code::kCancelled) {
    return MakeStatus(Code::kCancelled, "stopped; run it again to go on");
  }
  return InEtcd(status);
}

absl::Status Export::Compare(const char* label, std::string* difference) {
  Progress progress(context_, absl::StrCat(label, " ", total_, " objects"));
  absl::StatusOr<PlainEtcd::About> about = etcd_->Describe();
  if (!about.ok()) return InEtcd(about.status());
  about_.revision = about->revision;
  absl::StatusOr<PlainCopy::Found> found = copy_->Compare(about->revision, Told(&progress));
  if (!found.ok()) return found.status();
  found_ = *std::move(found);
  *difference = found_.difference;
  return absl::OkStatus();
}

absl::Status Export::Write() {
  absl::Status status = InEtcd(etcd_->SetMark(set_->m_id()));
  if (status.ok()) status = Raise();
  if (!status.ok()) return status;
  {
    Progress progress(context_, absl::StrCat("writing ", total_, " objects"));
    absl::StatusOr<CopyCounts> counts = copy_->Make(Told(&progress));
    if (!counts.ok()) return counts.status();
    counts_ = *std::move(counts);
  }
  std::string difference;
  if (status = Compare("verifying", &difference); !status.ok()) return status;
  if (!difference.empty()) {
    return MakeStatus(
        Code::kConflict,
        absl::StrCat(place_, " was written and does not hold these objects: ", difference,
                     ". Something else writes to it, an API server perhaps: stop it, and run this "
                     "again"));
  }
  status = set_->CheckUnchanged();
  // What is older than the objects is of no use, and must not be watched from.
  if (status.ok()) status = InEtcd(etcd_->Compact(about_.revision));
  return status.ok() ? InEtcd(etcd_->RemoveMark()) : status;
}

absl::Status Export::Run() {
  absl::Status status = OpenSet();
  if (status.ok()) status = OpenEtcd();
  if (status.ok()) status = CheckNotOurs();
  if (status.ok()) status = CheckRoot();
  if (!status.ok()) return status;
  if (flags_.check) {
    std::string difference;
    result_ = "the same";
    if (status = Compare("comparing", &difference); !status.ok()) return status;
    return difference.empty()
               ? status
               : MakeStatus(Code::kConflict,
                            absl::StrCat(place_, " does not hold these objects: ", difference));
  }
  bool same = false;
  if (status = CheckTaken(&same); !status.ok()) return status;
  result_ = same ? "nothing to do" : "exported";
  if (same) return absl::OkStatus();
  if (status = CheckRaise(); !status.ok()) return status;
  return Write();
}

std::string Export::AboutRevisions() const {
  if (about_.revision > set_->highest()) {
    return absl::StrCat(
        "Its revision is ", about_.revision, ", above ", set_->highest(),
        ", the highest that clients may know: who comes with a resource version of before gets 410 "
        "Gone and lists once.");
  }
  return absl::StrCat(
      "Its revision is ", about_.revision, ", and clients may know resource versions up to ",
      set_->highest(),
      ": a watch that begins there gets no event and no error until etcd has come that far. "
      "Restart "
      "every client that lives on, or they go by what they remember: kubelet, kube-proxy, "
      "controller-managers, schedulers, operators, network plugins.");
}

nlohmann::json Export::ToJson() const {
  return {{"result", result_},
          {"etcd", place_.substr(sizeof("the etcd ") - 1)},
          {"etcdVersion", about_.version},
          {"resumed", resumed_},
          {"objects", found_.objects},
          {"bytes", counts_.bytes},
          {"written", counts_.written},
          {"removed", counts_.removed},
          {"expiring", counts_.expiring},
          {"expired", counts_.expired},
          {"outside", outside_},
          {"sha256", found_.sha256},
          {"raisedBy", raised_},
          {"revision", about_.revision},
          {"highestRevision", set_->highest()}};
}

void Export::Print() const {
  if (context_.json) {
    PrintJson(context_, ToJson());
    return;
  }
  std::ostream& out = *context_.out;
  if (result_ == "exported") {
    out << absl::StrCat(
        counts_.objects, " objects (", HumanBytes(counts_.bytes), ") are in ", place_, ": ",
        counts_.written, " written, ", counts_.objects - counts_.written, " were there, ",
        counts_.removed, " removed; ", counts_.expiring, " expire, ", counts_.expired,
        " had expired and were left out.\n", "Read back and compared at revision ", about_.revision,
        ": ", found_.objects, " objects, sha256 ", found_.sha256, ".\n");
  } else {
    out << absl::StrCat(place_, " holds these objects: ", found_.objects, ", sha256 ",
                        found_.sha256, ".\n");
  }
  if (outside_ > 0) {
    out << absl::StrCat(outside_, " keys outside ", flags_.root, " were left out.\n");
  }
  out << AboutRevisions() << "\n";
  if (flags_.check) return;
  out << "Start the stock kube-apiserver on it, with the same --encryption-provider-config, and do "
         "not start the former one again. The databases are as they were.\n";
}

}  // namespace

int RunExport(const Context& context, const ExportFlags& flags) {
  CatchSignals();
  Export run(context, flags);
  if (absl::Status status = run.Run(); !status.ok()) return Fail(context, status);
  run.Print();
  return kExitOk;
}

}  // namespace storage::stgctl
