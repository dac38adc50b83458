// etcd servers for tests: one member or several, in a private directory. The
// binary is ETCD_BIN, else out/tools/bin/etcd of the repository (built by
// build/kube/build.sh etcd), else etcd of the PATH. A missing one is an error.
#ifndef LIBSTORAGE_TESTS_SERVERS_ETCD_SERVER_H_
#define LIBSTORAGE_TESTS_SERVERS_ETCD_SERVER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/servers/process.h"

namespace storage::servers {

struct EtcdSpec {
  int members = 1;
  std::vector<std::string> arguments;  // further ones, to each member
  bool https = false;                  // arguments then name the certificates
};

class EtcdServer {
 public:
  static absl::StatusOr<std::unique_ptr<EtcdServer>> Start(const EtcdSpec& spec = {});
  // The server of a test place: the same place is the same database, as long as
  // its directory is there. Servers of places that went away are emptied and
  // used again. A server that cannot be started ends the binary as failed.
  static EtcdServer& ForPlace(const std::string& place);

  int members() const { return static_cast<int>(members_.size()); }
  int port(int member = 0) const { return members_[static_cast<size_t>(member)].port; }
  std::string Endpoints() const;  // http://127.0.0.1:1,http://127.0.0.1:2
  Process* process(int member = 0) { return members_[static_cast<size_t>(member)].process.get(); }
  void Kill(int member = 0) { process(member)->Kill(); }
  absl::Status Restart(int member = 0);
  int Leader();  // -1: there is none

  // Past the backend, as etcdctl would: etcd's JSON gateway.
  void Put(const std::string& key, const std::string& value, int64_t lease = 0);
  void Delete(const std::string& key);
  void Wipe();
  std::string Value(const std::string& key);  // "" when absent
  std::vector<std::string> Keys();            // all, our own too
  int64_t Revision();
  void Compact(int64_t revision);
  int64_t Grant(int64_t ttl_s);  // a lease that nobody prolongs
  void RevokeLeases();           // all; their keys go
  // POST to a member; the body of the answer, "" when there is none.
  std::string Post(const std::string& path, const std::string& json, int member = 0) const;

 private:
  struct Member {
    int port = 0, peer_port = 0, health_port = 0;
    std::unique_ptr<Process> process;
  };
  explicit EtcdServer(const EtcdSpec& spec) : spec_(spec), dir_("") {}
  absl::Status Launch(int member);
  absl::Status WaitReady(int member);

  const EtcdSpec spec_;
  ServerDir dir_;
  std::vector<Member> members_;
};

}  // namespace storage::servers

#endif  // LIBSTORAGE_TESTS_SERVERS_ETCD_SERVER_H_
