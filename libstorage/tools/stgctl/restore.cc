// stgctl restore: the files of a backup into the places of a topology.
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "src/backend/sqlite/backup.h"
#include "src/backend/sqlite/lock.h"
#include "src/engine/backends.h"
#include "tools/stgctl/commands.h"
#include "tools/stgctl/files.h"
#include "tools/stgctl/manifest.h"
#include "tools/stgctl/stop.h"

namespace storage::stgctl {
namespace {

constexpr char kSuffix[] = ".restoring";

// One file of the backup and where it goes.
struct Move {
  const ManifestFile* file = nullptr;
  std::string target;
};

// Held until the end: no API server starts on a set that is half restored.
struct Lock {
  std::unique_ptr<sqlite::Site> site;
  std::unique_ptr<sqlite::FileLock> held;
};

std::vector<std::string> Names(const std::vector<ManifestFile>& files) {
  std::vector<std::string> out;
  out.reserve(files.size());
  for (const ManifestFile& file : files) out.push_back(file.name);
  return out;
}

std::vector<std::string> Names(const std::vector<Place>& places) {
  std::vector<std::string> out;
  out.reserve(places.size());
  for (const Place& place : places) out.push_back(place.name);
  return out;
}

// Rules other than those of the backup may look for objects where they are
// not: nothing would be lost, and nothing found.
absl::Status CheckRules(const Manifest& manifest, const Places& places, bool changed_rules) {
  if (Names(manifest.databases) != Names(places.backends)) {
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat("the backup has the databases ",
                     absl::StrJoin(Names(manifest.databases), ", "), ", the topology names ",
                     absl::StrJoin(Names(places.backends), ", "),
                     "; restore with the topology of the backup (the same names in the same "
                     "order), the endpoints may differ"));
  }
  for (size_t i = 0; i < places.backends.size() && !changed_rules; ++i) {
    if (manifest.databases[i].match == places.backends[i].match) continue;
    return MakeStatus(
        Code::kInvalid,
        absl::StrCat("the rule matched \"", manifest.databases[i].match,
                     "\" when the backup was made and matches \"", places.backends[i].match,
                     "\" now: objects could be hidden. Restore with the rule as it "
                     "was, or add --changed-rules"),
        places.backends[i].name);
  }
  return absl::OkStatus();
}

bool IsThere(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error) && std::filesystem::file_size(path, error) > 0;
}

absl::Status CheckTargets(const std::vector<Move>& moves, bool force) {
  std::vector<std::string> there;
  for (const Move& move : moves) {
    if (IsThere(move.target)) there.push_back(move.target);
  }
  if (there.empty() || force) return absl::OkStatus();
  return MakeStatus(Code::kExists,
                    absl::StrCat("there are databases already: ", absl::StrJoin(there, ", "),
                                 "; move them away, or add --force to overwrite them"));
}

absl::StatusOr<Lock> LockFile(const std::string& name, const std::string& path) {
  if (absl::Status status = MakeParents(path); !status.ok()) return status;
  Lock lock;
  lock.site = std::make_unique<sqlite::Site>(sqlite::Site{name, path});
  absl::StatusOr<std::unique_ptr<sqlite::FileLock>> held = sqlite::FileLock::Acquire(*lock.site);
  if (!held.ok()) return held.status();
  lock.held = *std::move(held);
  return lock;
}

// Beside its target, so that the last step is a rename. The sum is that of the
// bytes that were copied.
absl::Status Stage(const Context& context, const std::string& directory, const Move& move) {
  Progress progress(context, absl::StrCat("copying ", move.file->name));
  const std::string from = absl::StrCat(directory, "/", move.file->file);
  absl::StatusOr<FileSum> sum =
      CopyFile(from, move.target + kSuffix, [&](int64_t done, int64_t total) {
        progress.Update(done, total);
        return !Stopped();
      });
  if (!sum.ok()) return sum.status();
  if (sum->size == move.file->size && sum->sha256 == move.file->sha256) return absl::OkStatus();
  return MakeStatus(Code::kCorrupt,
                    absl::StrCat(from,
                                 " is damaged: its checksum is not that of manifest.json; "
                                 "nothing was changed. Use another copy of the backup"),
                    move.file->name);
}

// The old log goes first: SQLite would take it for that of the new file.
absl::Status PutInPlace(const Move& move) {
  for (const char* suffix : {"-wal", "-shm"}) {
    if (absl::Status status = RemoveFile(move.target + suffix); !status.ok()) return status;
  }
  return RenameSynced(move.target + kSuffix, move.target);
}

absl::Status Install(const Context& context, const std::string& directory,
                     const std::vector<Move>& moves) {
  absl::Status status;
  for (size_t i = 0; i < moves.size() && status.ok(); ++i) {
    status = Stage(context, directory, moves[i]);
  }
  if (!status.ok()) {
    for (const Move& move : moves) RemoveFile(move.target + kSuffix).IgnoreError();
    return status;
  }
  for (const Move& move : moves) {
    status = PutInPlace(move);
    if (status.ok()) continue;
    return MakeStatus(CodeOf(status),
                      absl::StrCat("only a part of the set was restored: ", status.message(),
                                   ". Do not start the API server; mend that and run the restore "
                                   "again with --force"),
                      move.file->name);
  }
  return absl::OkStatus();
}

// A file goes to where a symbolic link points, not in the place of the link.
std::vector<Move> MovesOf(const Manifest& manifest, const Places& places) {
  std::vector<Move> moves;
  for (size_t i = 0; i < places.backends.size(); ++i) {
    moves.push_back({&manifest.databases[i], RealPath(places.backends[i].endpoint.path)});
  }
  // A metadata store that is there knows later numbers than the copy: it stays.
  if (manifest.metadata.has_value() && places.metadata.endpoint.kind == EndpointKind::kSqlite &&
      !IsThere(places.metadata.endpoint.path)) {
    moves.push_back({&*manifest.metadata, RealPath(places.metadata.endpoint.path)});
  }
  return moves;
}

absl::StatusOr<Manifest> Restore(const Context& context, const RestoreFlags& flags,
                                 const Places& places) {
  absl::StatusOr<Manifest> manifest = ReadManifest(flags.directory);
  if (!manifest.ok()) return manifest.status();
  absl::Status status = CheckRules(*manifest, places, flags.changed_rules);
  if (!status.ok()) return status;
  std::vector<Lock> locks;
  if (places.metadata.endpoint.kind == EndpointKind::kSqlite) {
    absl::StatusOr<Lock> lock = LockFile("metadata", places.metadata.endpoint.path);
    if (!lock.ok()) return lock.status();
    locks.push_back(*std::move(lock));
  }
  for (const Place& place : places.backends) {
    absl::StatusOr<Lock> lock = LockFile(place.name, place.endpoint.path);
    if (!lock.ok()) return lock.status();
    locks.push_back(*std::move(lock));
  }
  const std::vector<Move> moves = MovesOf(*manifest, places);
  status = CheckTargets(moves, flags.force);
  if (status.ok()) status = Install(context, flags.directory, moves);
  if (!status.ok()) return status;
  return manifest;
}

}  // namespace

int RunRestore(const Context& context, const RestoreFlags& flags) {
  absl::StatusOr<Places> places = ResolvePlaces(flags.places);
  if (!places.ok()) return Fail(context, places.status());
  if (absl::Status status = CheckFilesOnly(*places); !status.ok()) return Fail(context, status);
  CatchSignals();
  absl::StatusOr<Manifest> manifest = Restore(context, flags, *places);
  if (!manifest.ok()) return Fail(context, manifest.status());
  if (context.json) {
    nlohmann::json out = {{"revision", manifest->revision}, {"databases", nlohmann::json::array()}};
    for (size_t i = 0; i < places->backends.size(); ++i) {
      out["databases"].push_back({{"name", places->backends[i].name},
                                  {"file", AbsolutePath(places->backends[i].endpoint.path)},
                                  {"objects", manifest->databases[i].objects}});
    }
    PrintJson(context, out);
    return kExitOk;
  }
  *context.out
      << "Restored revision " << manifest->revision << " (" << manifest->created << ") into "
      << places->backends.size() << " databases.\n"
      << "Start the API server once with --storage-restored (it refuses to start without): "
         "every object of\nthat revision is there, older resource versions answer 410 "
         "Gone."
      << std::endl;
  return kExitOk;
}

}  // namespace storage::stgctl
