// The commands. Each answers an exit code and prints through its Context.
#ifndef LIBSTORAGE_TOOLS_STGCTL_COMMANDS_H_
#define LIBSTORAGE_TOOLS_STGCTL_COMMANDS_H_

#include <cstdint>
#include <string>

#include "tools/stgctl/context.h"
#include "tools/stgctl/infer.h"
#include "tools/stgctl/places.h"

namespace storage::stgctl {

struct CheckFlags {
  std::string file;
  bool strict = false;  // a warning is an error
};
int RunCheck(const Context& context, const CheckFlags& flags);

struct RouteFlags {
  std::string file;
  std::string key;
  ResourceFlags resource;
};
int RunRoute(const Context& context, const RouteFlags& flags);

int RunStats(const Context& context, const PlaceFlags& flags);

struct BackupFlags {
  PlaceFlags places;
  std::string directory;
  int64_t wait_s = 30;  // for a write transaction in flight
};
int RunBackup(const Context& context, const BackupFlags& flags);

struct RestoreFlags {
  PlaceFlags places;
  std::string directory;
  bool force = false;          // overwrite
  bool changed_rules = false;  // restore although the rules differ
};
int RunRestore(const Context& context, const RestoreFlags& flags);

struct MigrateFlags {
  std::string topology;  // the new one
  std::string old_topology;
  std::string default_endpoint;
  std::string old_default_endpoint;
  std::string metadata_endpoint;
  TlsSettings default_tls;  // of the former default database too
  TlsSettings metadata_tls;
  bool dry_run = false;
  bool abort = false;
  bool server_stopped = false;
  bool ahead = false;
  bool follow = false;
};
int RunMigrate(const Context& context, const MigrateFlags& flags);

struct ExportFlags {
  PlaceFlags places;
  TlsSettings default_tls, metadata_tls;  // as the API server has them
  std::string etcd;
  TlsSettings etcd_tls;
  std::string root = "/registry/";  // --etcd-prefix of the API server
  std::string raise = "auto";       // auto, always, never
  bool force = false;               // the etcd may hold other keys under the root
  bool check = false;               // compare only
};
int RunExport(const Context& context, const ExportFlags& flags);

int RunVersion(const Context& context);

}  // namespace storage::stgctl

#endif  // LIBSTORAGE_TOOLS_STGCTL_COMMANDS_H_
