// stgctl migrate: what it does and why it may be ended anywhere is in
// src/engine/migrate.h and docs/adr/0007-migrate.md.
#include "src/engine/migrate.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "tools/stgctl/commands.h"
#include "tools/stgctl/stop.h"

namespace storage::stgctl {
namespace {

// Warnings of databases go to standard error.
class ErrLogger : public Logger {
 public:
  explicit ErrLogger(std::ostream* err) : err_(err) {}
  void Log(LogLevel level, std::string message) override {
    if (level != LogLevel::kInfo) *err_ << absl::StrCat("warning: ", message, "\n") << std::flush;
  }

 private:
  std::ostream* const err_;
};

// A line of progress for each part of the work.
class Parts {
 public:
  explicit Parts(const Context& context) : context_(context) {}
  void Update(const char* what, int64_t done, int64_t total) {
    if (what_ != what) {
      progress_.reset();
      what_ = what;
      progress_ = std::make_unique<Progress>(context_, absl::StrCat(what, " ", total, " objects"));
    }
    progress_->Update(done, total);
  }

 private:
  const Context& context_;
  std::string what_;
  std::unique_ptr<Progress> progress_;
};

// A pass is told when it is over: the first may take minutes.
void PrintPass(const Context& context, int number, const AheadPass& pass) {
  if (context.json) return;
  const MirrorCounts& counts = pass.counts;
  const auto seconds = static_cast<int64_t>(pass.seconds * 10);
  *context.out << absl::StrCat("pass ", number, ": ", counts.copied, " copied, ", counts.replaced,
                               " replaced, ", counts.discarded, " removed, of ", counts.rows,
                               " objects, in ", seconds / 10, ".", seconds % 10, " s\n")
               << std::flush;
}

MigrateOptions OptionsOf(const MigrateFlags& flags, Logger* logger, Parts* parts) {
  MigrateOptions options;
  options.engine.topology_path = flags.topology;
  options.engine.default_endpoint = flags.default_endpoint;
  options.engine.metadata_endpoint = flags.metadata_endpoint;
  options.engine.default_tls = flags.default_tls;
  options.engine.metadata_tls = flags.metadata_tls;
  options.engine.logger = logger;
  options.old_topology_path = flags.old_topology;
  options.old_default_endpoint = flags.old_default_endpoint;
  options.server_stopped = flags.server_stopped;
  options.ahead = flags.ahead;
  options.follow = flags.follow;
  options.stop = Stopped;
  options.progress = [parts](const char* what, int64_t done, int64_t total) {
    parts->Update(what, done, total);
  };
  return options;
}

nlohmann::json ToJson(const std::vector<PlannedMove>& moves, const std::string& result) {
  nlohmann::json out = {{"result", result}, {"moves", nlohmann::json::array()}};
  for (const PlannedMove& move : moves) {
    out["moves"].push_back({{"collection", move.collection},
                            {"from", move.from},
                            {"to", move.to},
                            {"objects", move.objects},
                            {"bytes", move.bytes},
                            {"ahead", move.ahead}});
  }
  return out;
}

void PrintAheadJson(const Context& context, const Migration& migration) {
  nlohmann::json out = ToJson(migration.moves(), "copied ahead");
  out["passes"] = nlohmann::json::array();
  for (const AheadPass& pass : migration.passes()) {
    out["passes"].push_back({{"copied", pass.counts.copied},
                             {"replaced", pass.counts.replaced},
                             {"removed", pass.counts.discarded},
                             {"objects", pass.counts.rows},
                             {"seconds", pass.seconds}});
  }
  PrintJson(context, out);
}

void PrintMoves(const Context& context, const std::vector<PlannedMove>& moves,
                const std::string& result) {
  if (context.json) {
    PrintJson(context, ToJson(moves, result));
    return;
  }
  if (moves.empty()) return;
  Table table({"OBJECTS OF", "FROM", "TO", "OBJECTS", "BYTES"});
  for (const PlannedMove& move : moves) {
    table.Add({move.collection, move.from, move.to, std::to_string(move.objects),
               HumanBytes(move.bytes)});
  }
  table.Print(context.out);
}

int Done(const Context& context, const std::vector<PlannedMove>& moves, const char* result,
         const char* text) {
  PrintMoves(context, moves, result);
  if (!context.json) *context.out << text << "\n";
  return kExitOk;
}

// What servers serve from already cannot hold copies beside it.
void PrintLeft(const Context& context, const std::vector<PlannedMove>& moves) {
  for (const PlannedMove& move : moves) {
    if (move.ahead) continue;
    *context.out << absl::StrCat("Left to the migration: ", move.objects, " objects of ",
                                 move.collection, " to ", move.to,
                                 ", which the API servers serve from already.\n");
  }
}

int DoneAhead(const Context& context, const Migration& migration) {
  const std::vector<AheadPass>& passes = migration.passes();
  if (context.json) {
    PrintAheadJson(context, migration);
    return kExitOk;
  }
  PrintLeft(context, migration.moves());
  if (passes.empty()) {
    *context.out << "Nothing can be copied ahead: no database that is new to the topology gets "
                    "objects.\n";
    return kExitOk;
  }
  *context.out << absl::StrCat(
      "The last pass found ", passes.back().counts.changes(),
      " changes; about as many are left to the migration. Now stop every API server, run `stgctl "
      "migrate` with this topology, and start them with it.\n");
  return kExitOk;
}

int RunAhead(const Context& context, Migration* migration) {
  if (!context.json) PrintMoves(context, migration->moves(), "");
  if (absl::Status status = migration->Run(); !status.ok()) return Fail(context, status);
  return DoneAhead(context, *migration);
}

}  // namespace

int RunMigrate(const Context& context, const MigrateFlags& flags) {
  CatchSignals();
  ErrLogger logger(context.err);
  Parts parts(context);
  MigrateOptions options = OptionsOf(flags, &logger, &parts);
  int passes = 0;
  options.pass_done = [&](const AheadPass& pass) { PrintPass(context, ++passes, pass); };
  absl::StatusOr<std::unique_ptr<Migration>> opened = Migration::Open(std::move(options));
  if (!opened.ok()) return Fail(context, opened.status());
  Migration& migration = **opened;
  const std::vector<PlannedMove>& moves = migration.moves();
  const bool idle = !migration.resumes() && moves.empty() && !migration.HasCopies();
  constexpr char kIdle[] = "Nothing has to move: start the API server with this topology.";
  if (flags.dry_run) {
    return Done(context, moves, migration.resumes() ? "resumes" : "planned",
                migration.resumes() ? "A migration is not over: run it again without --dry-run."
                : idle              ? kIdle
                                    : "Nothing was moved (--dry-run).");
  }
  if (flags.abort) {
    if (absl::Status status = migration.Abort(); !status.ok()) return Fail(context, status);
    return Done(context, {}, "aborted",
                flags.ahead ? "The copies that were made ahead are removed."
                            : "The migration was given up: start the API server with the topology "
                              "of before.");
  }
  if (flags.ahead) return RunAhead(context, &migration);
  if (absl::Status status = migration.Run(); !status.ok()) return Fail(context, status);
  if (idle) return Done(context, moves, "nothing to do", kIdle);
  return Done(context, moves, "migrated",
              "All objects are where this topology looks for them: start the API server with it. "
              "Resource versions of before answer 410 Gone.");
}

}  // namespace storage::stgctl
