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

MigrateOptions OptionsOf(const MigrateFlags& flags, Logger* logger, Parts* parts) {
  MigrateOptions options;
  options.engine.topology_path = flags.topology;
  options.engine.default_endpoint = flags.default_endpoint;
  options.engine.metadata_endpoint = flags.metadata_endpoint;
  options.engine.logger = logger;
  options.old_topology_path = flags.old_topology;
  options.old_default_endpoint = flags.old_default_endpoint;
  options.server_stopped = flags.server_stopped;
  options.stop = Stopped;
  options.progress = [parts](const char* what, int64_t done, int64_t total) {
    parts->Update(what, done, total);
  };
  return options;
}

void PrintMoves(const Context& context, const std::vector<PlannedMove>& moves,
                const std::string& result) {
  if (context.json) {
    nlohmann::json out = {{"result", result}, {"moves", nlohmann::json::array()}};
    for (const PlannedMove& move : moves) {
      out["moves"].push_back({{"collection", move.collection},
                              {"from", move.from},
                              {"to", move.to},
                              {"objects", move.objects},
                              {"bytes", move.bytes}});
    }
    PrintJson(context, out);
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

}  // namespace

int RunMigrate(const Context& context, const MigrateFlags& flags) {
  CatchSignals();
  ErrLogger logger(context.err);
  Parts parts(context);
  absl::StatusOr<std::unique_ptr<Migration>> opened =
      Migration::Open(OptionsOf(flags, &logger, &parts));
  if (!opened.ok()) return Fail(context, opened.status());
  Migration& migration = **opened;
  const std::vector<PlannedMove>& moves = migration.moves();
  if (flags.dry_run) {
    return Done(context, moves, migration.resumes() ? "resumes" : "planned",
                migration.resumes() ? "A migration is not over: run it again without --dry-run."
                : moves.empty() ? "Nothing has to move: start the API server with this topology."
                                : "Nothing was moved (--dry-run).");
  }
  if (flags.abort) {
    if (absl::Status status = migration.Abort(); !status.ok()) return Fail(context, status);
    return Done(context, {}, "aborted",
                "The migration was given up: start the API server with the topology of before.");
  }
  const bool idle = !migration.resumes() && moves.empty();
  if (absl::Status status = migration.Run(); !status.ok()) return Fail(context, status);
  if (idle) {
    return Done(context, moves, "nothing to do",
                "Nothing has to move: start the API server with this topology.");
  }
  return Done(context, moves, "migrated",
              "All objects are where this topology looks for them: start the API server with it. "
              "Resource versions of before answer 410 Gone.");
}

}  // namespace storage::stgctl
