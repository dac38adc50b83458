// stgctl backup: copies of a running set of SQLite files at one revision. How
// the revision is chosen and why it is exact: cut.cc.
#include "src/backend/sqlite/backup.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "src/backend/sqlite/connection.h"
#include "src/engine/backends.h"
#include "tools/stgctl/commands.h"
#include "tools/stgctl/cut.h"
#include "tools/stgctl/files.h"
#include "tools/stgctl/manifest.h"
#include "tools/stgctl/stop.h"

namespace storage::stgctl {
namespace {

absl::Status Named(const absl::Status& status, const std::string& name) {
  if (status.ok()) return status;
  return MakeStatus(CodeOf(status), std::string(status.message()), name, DriverCodeOf(status));
}

// The directory of the backup; what was made in it goes unless Keep() was called.
class Target {
 public:
  explicit Target(std::string directory) : directory_(std::move(directory)) {}
  ~Target() {
    std::error_code ignored;
    if (kept_) return;
    for (const std::string& file : files_) {
      for (const char* suffix : {"", "-wal", "-shm", ".lock", ".partial"}) {
        std::filesystem::remove(file + suffix, ignored);
      }
    }
    if (made_) std::filesystem::remove(directory_, ignored);
  }

  absl::Status Make() {
    std::error_code error;
    made_ = std::filesystem::create_directories(directory_, error);
    if (!error && !std::filesystem::is_empty(directory_, error) && !error) {
      return MakeStatus(Code::kExists, absl::StrCat(directory_,
                                                    " is not empty; name a new "
                                                    "directory for each backup"));
    }
    if (error) {
      return MakeStatus(Code::kUnavailable, absl::StrCat("cannot create the directory ", directory_,
                                                         ": ", error.message()));
    }
    // Objects are secrets.
    if (made_) std::filesystem::permissions(directory_, std::filesystem::perms::owner_all, error);
    return absl::OkStatus();
  }
  std::string Add(const std::string& file) {
    files_.push_back(absl::StrCat(directory_, "/", file));
    return files_.back();
  }
  void Keep() { kept_ = true; }
  const std::string& directory() const { return directory_; }

 private:
  const std::string directory_;
  std::vector<std::string> files_;
  bool made_ = false, kept_ = false;
};

absl::Status Copy(const Context& context, const std::string& from, const std::string& to,
                  const std::string& label) {
  Progress progress(context, label);
  return BackupSqlite(from, to, [&](int64_t done, int64_t total) {
    progress.Update(done, total);
    return !Stopped();
  });
}

// From what the raw copy shows to exactly the cut.
absl::Status TakeBack(const std::string& path, int64_t cut, const std::string& name) {
  absl::StatusOr<RevisionSpan> span = SqliteRevisions(path);
  if (!span.ok()) return span.status();
  if (span->floor > cut) {
    return MakeStatus(Code::kCompacted,
                      absl::StrCat("its history begins at revision ", span->floor,
                                   " now, above the backup's revision ", cut,
                                   ": it was compacted, or a new history was started, while the "
                                   "copy ran. Run the backup again; if that does not help, keep "
                                   "more history (REVISION_MAPPER_HISTORY)"),
                      name);
  }
  // A quiet database ends below the cut and shows the same at both.
  return span->head <= cut ? absl::OkStatus() : Named(RewindSqlite(path, cut), name);
}

// A server whose metadata store is still there must not take the copy for its
// own database and go on counting where the copy ends. As the property of
// another store it is refused until somebody says --storage-restored.
absl::Status MarkAsCopy(const std::string& path, const std::string& name) {
  const sqlite::Site site{name, path};
  auto connection = sqlite::Connection::Open(&site, sqlite::Connection::Mode::kReadWrite, 0);
  if (!connection.ok()) return connection.status();
  return (*connection)
      ->Exec(
          "UPDATE lane SET m_id = 'backup of ' || m_id, ver = ver + 1 "
          "WHERE m_id <> '' AND m_id NOT LIKE 'backup of %';"
          "PRAGMA wal_checkpoint(TRUNCATE)");
}

// What SQLite and our lock leave beside a file that is closed.
absl::Status Tidy(const std::string& path) {
  std::error_code error;
  const std::uintmax_t log = std::filesystem::file_size(path + "-wal", error);
  if (!error && log > 0) {
    return MakeStatus(Code::kInternal, absl::StrCat(path, "-wal is not empty after the copy"));
  }
  for (const char* suffix : {"-wal", "-shm", ".lock"}) {
    if (absl::Status status = RemoveFile(path + suffix); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Describe(const std::string& path, ManifestFile* file, std::string* m_id) {
  absl::StatusOr<std::unique_ptr<Backend>> backend = OpenForInspection(file->name, path);
  if (!backend.ok()) return backend.status();
  absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = (*backend)->OpenSnapshot();
  if (!snapshot.ok()) return snapshot.status();
  absl::StatusOr<BackendStats> stats = (*backend)->Stats();
  if (!stats.ok()) return stats.status();
  file->identity = (*backend)->identity();
  for (const KindStats& kind : stats->kinds) {
    file->objects += kind.objects;
    file->bytes += kind.bytes;
  }
  const std::string& owner = (*snapshot)->lane().m_id;
  if (owner.empty() || owner == *m_id) return absl::OkStatus();
  if (m_id->empty()) {
    *m_id = owner;
    return absl::OkStatus();
  }
  return MakeStatus(
      Code::kInvalid,
      absl::StrCat("belongs to the metadata store ", owner, ", another database to ", *m_id,
                   ": they are no set. Name the topology and the default "
                   "database that the API server uses"),
      file->name);
}

absl::Status Sum(const Context& context, const std::string& path, ManifestFile* file) {
  if (absl::Status status = Tidy(path); !status.ok()) return status;
  Progress progress(context, absl::StrCat("summing ", file->name));
  absl::StatusOr<FileSum> sum = SumFile(path, [&](int64_t done, int64_t total) {
    progress.Update(done, total);
    return !Stopped();
  });
  if (!sum.ok()) return sum.status();
  file->size = sum->size;
  file->sha256 = sum->sha256;
  return absl::OkStatus();
}

absl::Status CopyDatabases(const Context& context, const Places& places, Target* target,
                           Manifest* manifest) {
  size_t number = 0;
  for (const Place& place : places.backends) {
    ManifestFile file;
    file.name = place.name;
    file.match = place.match;
    file.file = place.name + ".db";
    file.source = AbsolutePath(place.endpoint.path);
    const std::string path = target->Add(file.file);
    const std::string label =
        absl::StrCat("copying ", place.name, " (", ++number, " of ", places.backends.size(), ")");
    absl::Status status = Named(Copy(context, place.endpoint.path, path, label), place.name);
    if (!status.ok()) return status;
    absl::StatusOr<RevisionSpan> span = SqliteRevisions(path);
    if (!span.ok()) return span.status();
    file.copied_head = span->head;
    status = TakeBack(path, manifest->revision, place.name);
    if (status.ok()) status = Describe(path, &file, &manifest->m_id);
    if (status.ok()) status = MarkAsCopy(path, place.name);
    if (status.ok()) status = Sum(context, path, &file);
    if (!status.ok()) return status;
    manifest->databases.push_back(std::move(file));
  }
  return absl::OkStatus();
}

// The metadata store need not survive, but it remembers the routes: with it a
// restored set notices a topology that would hide objects.
absl::Status CopyMetadata(const Context& context, const Places& places, Target* target,
                          Manifest* manifest) {
  const Endpoint& endpoint = places.metadata.endpoint;
  std::error_code error;
  if (endpoint.kind != EndpointKind::kSqlite || !std::filesystem::exists(endpoint.path, error)) {
    return absl::OkStatus();
  }
  ManifestFile file;
  file.name = "metadata";
  file.file = "metadata.db";
  file.source = AbsolutePath(endpoint.path);
  const std::string path = target->Add(file.file);
  absl::Status status =
      Named(Copy(context, endpoint.path, path, "copying the metadata store"), "metadata");
  if (status.ok()) status = Sum(context, path, &file);
  if (!status.ok()) return status;
  manifest->metadata = std::move(file);
  return absl::OkStatus();
}

absl::StatusOr<Manifest> MakeBackup(const Context& context, const BackupFlags& flags,
                                    const Places& places, Target* target) {
  std::vector<CutSource> sources;
  for (const Place& place : places.backends) sources.push_back({place.name, place.endpoint.path});
  Manifest manifest;
  manifest.created = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone());
  if (!places.topology.empty()) manifest.topology = AbsolutePath(places.topology);
  const auto waiting = [&context](const CutSource& source) {
    SayProgress(context, absl::StrCat("waiting for a write transaction in ", source.name));
  };
  absl::StatusOr<int64_t> cut = ChooseCut(sources, absl::Seconds(flags.wait_s), Stopped, waiting);
  if (!cut.ok()) return cut.status();
  manifest.revision = *cut;
  absl::Status status = target->Make();
  if (status.ok()) status = CopyDatabases(context, places, target, &manifest);
  if (status.ok()) status = CopyMetadata(context, places, target, &manifest);
  target->Add("manifest.json");
  if (status.ok()) status = WriteManifest(target->directory(), manifest);
  if (!status.ok()) return status;
  return manifest;
}

}  // namespace

int RunBackup(const Context& context, const BackupFlags& flags) {
  absl::StatusOr<Places> places = ResolvePlaces(flags.places);
  if (!places.ok()) return Fail(context, places.status());
  if (absl::Status status = CheckFilesOnly(*places); !status.ok()) return Fail(context, status);
  CatchSignals();
  Target target(flags.directory);
  absl::StatusOr<Manifest> manifest = MakeBackup(context, flags, *places, &target);
  if (!manifest.ok()) return Fail(context, manifest.status());
  target.Keep();
  if (context.json) {
    PrintJson(context, manifest->ToJson());
    return kExitOk;
  }
  *context.out << "Backup of revision " << manifest->revision << " in " << flags.directory
               << ".\n\n";
  Table table({"DATABASE", "OBJECTS", "BYTES", "FILE", "SIZE"});
  for (const ManifestFile& file : manifest->databases) {
    table.Add({file.name, std::to_string(file.objects), HumanBytes(file.bytes), file.file,
               HumanBytes(file.size)});
  }
  table.Print(context.out);
  return kExitOk;
}

}  // namespace storage::stgctl
