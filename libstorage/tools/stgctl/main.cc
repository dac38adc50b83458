// stgctl: looks at topologies and databases of libstorage, copies and restores
// them. docs/stgctl.md. The only place that knows the command line.
#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <iostream>

#include "tools/stgctl/commands.h"

namespace storage::stgctl {
namespace {

struct Options {
  Context context;
  std::string output = "text";
  CheckFlags check;
  RouteFlags route;
  PlaceFlags stats;
  BackupFlags backup;
  RestoreFlags restore;
  MigrateFlags migrate;
  ExportFlags exporting;
  bool namespaced = false, cluster_scoped = false, custom = false, built_in = false;
};

using Command = std::function<int()>;

void AddOutput(CLI::App* app, Options* options) {
  app->add_option("-o,--output", options->output, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

void AddPlaces(CLI::App* app, PlaceFlags* flags) {
  app->add_option("--topology", flags->topology, "topology.yaml, a path or file://")
      ->envname("TOPOLOGY_CONFIG");
  app->add_option("--default", flags->default_endpoint,
                  "the default database, as the API server has it in --etcd-servers "
                  "(sqlite://./libstorage.db when not given)");
  app->add_option("--metadata", flags->metadata_endpoint,
                  "the metadata store, as in --metadata-store (beside the default database when "
                  "not given)")
      ->envname("REVISION_MAPPER_ENDPOINT");
}

void AddCheck(CLI::App* root, Options* options, Command* command) {
  CLI::App* topology = root->add_subcommand("topology", "Look at a topology file");
  topology->require_subcommand(1);
  CLI::App* check = topology->add_subcommand(
      "check", "Say whether the file is right, what each rule takes and what it costs");
  check->add_option("FILE", options->check.file, "topology.yaml")->required();
  check->add_flag("--strict", options->check.strict, "a warning is an error");
  AddOutput(check, options);
  check->callback([=] { *command = [=] { return RunCheck(options->context, options->check); }; });
}

void AddRoute(CLI::App* root, Options* options, Command* command) {
  CLI::App* route = root->add_subcommand(
      "route", "Say which rule and database an object's key belongs to, and why");
  ResourceFlags* resource = &options->route.resource;
  route->add_option("FILE", options->route.file, "topology.yaml")->required();
  route->add_option("KEY", options->route.key, "like /registry/pods/default/web")->required();
  route->add_option("--root", resource->root, "storage root")->capture_default_str();
  route->add_option("--group", resource->group, "API group of the object");
  route->add_option("--resource", resource->resource, "plural resource name");
  route->add_option("--kind", resource->kind, "Kind");
  CLI::Option* namespaced =
      route->add_flag("--namespaced", options->namespaced, "the kind is namespaced");
  route->add_flag("--cluster-scoped", options->cluster_scoped, "the kind is not namespaced")
      ->excludes(namespaced);
  CLI::Option* custom = route->add_flag("--custom", options->custom, "it is a custom resource");
  route->add_flag("--built-in", options->built_in, "it is a built-in kind")->excludes(custom);
  AddOutput(route, options);
  route->footer(
      "A key does not say what kind of resource it belongs to; the API server knows. stgctl goes\n"
      "by the names of built-in kinds and prints what it took the key for; the flags overrule it.");
  route->callback([=] {
    if (options->namespaced || options->cluster_scoped) resource->namespaced = options->namespaced;
    if (options->custom || options->built_in) resource->custom = options->custom;
    *command = [=] { return RunRoute(options->context, options->route); };
  });
}

void AddStats(CLI::App* root, Options* options, Command* command) {
  CLI::App* stats = root->add_subcommand(
      "stats", "Show kinds, objects, history and sizes of every database; also while it is used");
  AddPlaces(stats, &options->stats);
  AddOutput(stats, options);
  stats->callback([=] { *command = [=] { return RunStats(options->context, options->stats); }; });
}

void AddBackup(CLI::App* root, Options* options, Command* command) {
  CLI::App* backup = root->add_subcommand(
      "backup", "Copy a set of SQLite files at one revision; also while an API server uses them");
  AddPlaces(backup, &options->backup.places);
  backup->add_option("DIR", options->backup.directory, "new directory for the copy")->required();
  backup
      ->add_option("--wait", options->backup.wait_s,
                   "seconds to wait for a write transaction that is in flight")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  backup->add_flag("--progress", options->context.progress,
                   "show progress although standard error is no terminal");
  AddOutput(backup, options);
  backup->callback(
      [=] { *command = [=] { return RunBackup(options->context, options->backup); }; });
}

void AddRestore(CLI::App* root, Options* options, Command* command) {
  CLI::App* restore = root->add_subcommand(
      "restore", "Put a backup into the places of a topology; the API server must be stopped");
  AddPlaces(restore, &options->restore.places);
  restore->add_option("DIR", options->restore.directory, "directory of a backup")->required();
  restore->add_flag("--force", options->restore.force, "overwrite databases that are there");
  restore->add_flag("--changed-rules", options->restore.changed_rules,
                    "restore although the rules differ from those of the backup");
  restore->add_flag("--progress", options->context.progress,
                    "show progress although standard error is no terminal");
  AddOutput(restore, options);
  restore->callback(
      [=] { *command = [=] { return RunRestore(options->context, options->restore); }; });
}

void AddTls(CLI::App* app, TlsSettings* tls, const std::string& prefix, const std::string& of) {
  app->add_option(prefix + "cafile", tls->ca_file, "CA certificates that sign for " + of);
  app->add_option(prefix + "certfile", tls->cert_file, "client certificate for " + of);
  app->add_option(prefix + "keyfile", tls->key_file, "key of that certificate");
}

// The same flags as the API server's.
void AddServerTls(CLI::App* app, TlsSettings* default_tls, TlsSettings* metadata_tls) {
  AddTls(app, default_tls, "--etcd-", "the default database, as the API server has it");
  AddTls(app, metadata_tls, "--metadata-store-", "the metadata store, as the API server has it");
}

void AddMigrate(CLI::App* root, Options* options, Command* command) {
  MigrateFlags* const flags = &options->migrate;
  CLI::App* migrate = root->add_subcommand("migrate",
                                           "Move what a changed topology routes elsewhere; the API "
                                           "servers must be stopped, but for --ahead. Ended in the "
                                           "middle, it goes on when it is run again");
  migrate->add_option("FILE", flags->topology, "the new topology.yaml, a path or file://")
      ->required();
  migrate->add_option("--old", flags->old_topology,
                      "the topology of before: needed when it has a database on a server that the "
                      "new one leaves out");
  migrate->add_option("--default", flags->default_endpoint,
                      "the default database, as the API server will have it in --etcd-servers "
                      "(sqlite://./libstorage.db when not given)");
  migrate->add_option("--old-default", flags->old_default_endpoint,
                      "the default database of before, when it changes and is on a server");
  migrate
      ->add_option("--metadata", flags->metadata_endpoint,
                   "the metadata store, as in --metadata-store (beside the default database "
                   "when not given)")
      ->envname("REVISION_MAPPER_ENDPOINT");
  AddServerTls(migrate, &flags->default_tls, &flags->metadata_tls);
  CLI::Option* dry_run =
      migrate->add_flag("--dry-run", flags->dry_run, "tell what would move; nothing is moved");
  migrate
      ->add_flag("--abort", flags->abort,
                 "give a migration up that is still copying: what was copied is removed, and "
                 "the topology of before is good again. With --ahead: copies that were made "
                 "ahead are removed")
      ->excludes(dry_run);
  CLI::Option* ahead = migrate->add_flag(
      "--ahead", flags->ahead,
      "while the API servers run: copy into databases that are new to the topology, so that the "
      "migration itself finds little to do");
  migrate
      ->add_flag("--follow", flags->follow,
                 "go on copying what changes until Ctrl-C, so that still less is left")
      ->needs(ahead);
  migrate->add_flag(
      "--server-stopped", flags->server_stopped,
      "with a metadata store in etcd, after a server of an older version that did not "
      "end in order: it does not run any more");
  migrate->add_flag("--progress", options->context.progress,
                    "show progress although standard error is no terminal");
  AddOutput(migrate, options);
  migrate->callback(
      [=] { *command = [=] { return RunMigrate(options->context, options->migrate); }; });
}

void AddExport(CLI::App* root, Options* options, Command* command) {
  ExportFlags* const flags = &options->exporting;
  CLI::App* exporting = root->add_subcommand("export",
                                             "Write all objects into an etcd as stock Kubernetes "
                                             "keeps them: the way back. The API servers "
                                             "must be stopped; the databases are only read. Ended "
                                             "in the middle, it goes on when it is run "
                                             "again");
  AddPlaces(exporting, &flags->places);
  AddServerTls(exporting, &flags->default_tls, &flags->metadata_tls);
  exporting
      ->add_option(
          "--stock-etcd", flags->etcd,
          "the etcd to write: http://host:2379 or https://…, further members after commas; "
          "empty under the root")
      ->required();
  AddTls(exporting, &flags->etcd_tls, "--stock-etcd-", "the etcd that is written");
  exporting->add_flag("--stock-etcd-skip-verify", flags->etcd_tls.skip_verify,
                      "whatever certificate that etcd shows is good enough");
  exporting
      ->add_option("--root", flags->root,
                   "storage root: --etcd-prefix of the API server, and a slash")
      ->capture_default_str();
  exporting
      ->add_option(
          "--raise", flags->raise,
          "whether the etcd's revision is raised above every resource version that clients "
          "may have, by as many writes: auto (up to 5 million), always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  CLI::Option* force = exporting->add_flag(
      "--force", flags->force,
      "the etcd may hold keys under the root: those that differ are overwritten, those that the "
      "databases do not have are removed");
  exporting
      ->add_flag("--check", flags->check,
                 "write nothing: compare the etcd with the databases, key by key")
      ->excludes(force);
  exporting->add_flag("--progress", options->context.progress,
                      "show progress although standard error is no terminal");
  AddOutput(exporting, options);
  exporting->callback(
      [=] { *command = [=] { return RunExport(options->context, options->exporting); }; });
}

int Main(int argc, char** argv) {
  CLI::App app("stgctl looks after the databases of a libstorage control plane.", "stgctl");
  Options options;
  Command command;
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of all commands");
  AddCheck(&app, &options, &command);
  AddRoute(&app, &options, &command);
  AddStats(&app, &options, &command);
  AddBackup(&app, &options, &command);
  AddRestore(&app, &options, &command);
  AddMigrate(&app, &options, &command);
  AddExport(&app, &options, &command);
  CLI::App* version = app.add_subcommand("version", "Print the version");
  AddOutput(version, &options);
  version->callback([&] { command = [&] { return RunVersion(options.context); }; });
  app.footer("Exit codes: 0 done, 1 failed or the topology is wrong, 2 the command line is wrong.");

  options.context.out = &std::cout;
  options.context.err = &std::cerr;
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);  // --help
  } catch (const CLI::ParseError& wrong) {
    std::cerr << "error: " << wrong.what() << "\nSee 'stgctl --help' for usage.\n";
    return kExitUsage;
  }
  options.context.json = options.output == "json";
  return command();
}

}  // namespace
}  // namespace storage::stgctl

int main(int argc, char** argv) {
  try {
    return storage::stgctl::Main(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "error: " << e.what() << std::endl;
    return storage::stgctl::kExitError;
  }
}
