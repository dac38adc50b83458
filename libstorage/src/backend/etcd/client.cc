#include "src/backend/etcd/client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "src/backend/etcd/channel.h"

namespace storage::etcd {
namespace {

using std::chrono::steady_clock;

// A member that is silent leaves time to ask another one.
constexpr auto kMemberTime = std::chrono::milliseconds(1000);
// How long a call waits for a connection that is not there. It has to wait:
// gRPC looks after a connection that is being made only while somebody waits.
constexpr auto kConnectTime = std::chrono::milliseconds(300);
// A connection that let a call wait for so long may be dead: gRPC itself notices that
// after 12 s. A slow server loses nothing but the handshake.
constexpr auto kSilent = std::chrono::milliseconds(500);
// Between two rounds over all members.
constexpr auto kPause = std::chrono::milliseconds(50);
constexpr int kRounds = 2;

std::chrono::system_clock::time_point Deadline(SteadyTime until) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(until -
                                                                         steady_clock::now());
}

bool SpeaksOfTls(const std::string& message) {
  for (const char* words : {"andshake", "ertificate", "CERTIFICATE", "Socket closed",
                            "onnection reset", "roken pipe", "Endpoint read failed"}) {
    if (absl::StrContains(message, words)) return true;
  }
  return false;
}

}  // namespace

Client::Client(EtcdOptions options, std::vector<Member> members)
    : options_(std::move(options)), size_(members.size()) {
  for (Member& member : members) {
    members_.push_back(std::make_shared<const Member>(std::move(member)));
  }
}

Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Create(const EtcdOptions& options) {
  absl::StatusOr<std::vector<Member>> members = MakeMembers(options);
  if (!members.ok()) return members.status();
  return std::unique_ptr<Client>(new Client(options, *std::move(members)));
}

// Names our certificates where they may be the reason.
Failure Client::Failed(const grpc::Status& status, const Member& member) const {
  Failure failure = Explain(status.error_code(), status.error_message(), member.address, name());
  if (!SpeaksOfTls(status.error_message())) return failure;
  const std::string remedy = absl::StrContains(options_.endpoints, "https://")
                                 ? TlsRemedy(options_.tls)
                                 : "; a server that wants TLS needs https:// in the endpoint";
  failure.status =
      MakeStatus(CodeOf(failure.status), absl::StrCat(failure.status.message(), remedy), name(),
                 DriverCodeOf(failure.status));
  return failure;
}

absl::StatusOr<std::string> Client::Token(const Member& member, SteadyTime until) {
  if (options_.user.empty()) return std::string();
  {
    MutexLock lock(&mutex_);
    if (!token_.empty()) return token_;
  }
  pb::AuthenticateRequest request;
  request.set_name(options_.user);
  request.set_password(options_.password);
  pb::AuthenticateResponse response;
  grpc::ClientContext context;
  context.set_deadline(Deadline(until));
  const grpc::Status status = member.auth->Authenticate(&context, request, &response);
  if (!status.ok()) {
    return Failed(status, member).status;
  }
  MutexLock lock(&mutex_);
  token_ = response.token();
  return token_;
}

void Client::Forget(const std::string& token) {
  MutexLock lock(&mutex_);
  if (token_ == token) token_.clear();
}

std::shared_ptr<const Member> Client::At(size_t member) {
  MutexLock lock(&mutex_);
  return members_[member];
}

void Client::Replace(size_t member, const std::shared_ptr<const Member>& silent) {
  MutexLock lock(&mutex_);
  if (members_[member] != silent) return;
  members_[member] = std::make_shared<const Member>(Reconnected(*silent));
}

Failure Client::Try(size_t member, bool write, SteadyTime until, const Call& call) {
  const std::shared_ptr<const Member> used = At(member);
  const Member& to = *used;
  if (to.channel->GetState(true) != GRPC_CHANNEL_READY) {
    to.channel->WaitForConnected(Deadline(std::min(until, steady_clock::now() + kConnectTime)));
  }
  absl::StatusOr<std::string> token = Token(to, until);
  if (!token.ok()) {
    const bool silent = CodeOf(token.status()) == Code::kUnavailable;
    return {token.status(), silent ? Fate::kElsewhere : Fate::kRefused};
  }
  grpc::ClientContext context;
  context.set_deadline(Deadline(until));
  if (!token->empty()) context.AddMetadata("token", *token);
  const SteadyTime begin = steady_clock::now();
  const grpc::Status status = call(to, &context);
  if (status.ok()) return {absl::OkStatus(), Fate::kRefused};
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED &&
      steady_clock::now() - begin >= kSilent) {
    Replace(member, used);
  }
  Failure failure = Failed(status, to);
  if (failure.fate == Fate::kStaleToken) {
    if (token->empty()) failure.fate = Fate::kRefused;
    Forget(*token);
  }
  if (failure.fate == Fate::kUnsure && !write) failure.fate = Fate::kElsewhere;
  return failure;
}

absl::Status Client::Run(const char* what, bool write, SteadyTime until, const Call& call) {
  const SteadyTime begin = steady_clock::now();
  const size_t members = size_;
  Failure failure;
  for (size_t attempt = 0; attempt < members * kRounds; ++attempt) {
    if (attempt > 0 && attempt % members == 0) std::this_thread::sleep_for(kPause);
    if (attempt > 0 && steady_clock::now() >= until) break;
    const size_t member = preferred_.load(std::memory_order_relaxed) % members;
    const bool hurry = !write && members > 1;
    failure = Try(member, write, hurry ? std::min(until, steady_clock::now() + kMemberTime) : until,
                  call);
    if (failure.status.ok()) break;
    if (failure.fate == Fate::kRefused) break;
    if (failure.fate == Fate::kStaleToken) continue;
    size_t expected = member;
    preferred_.compare_exchange_strong(expected, (member + 1) % members);
    if (failure.fate == Fate::kUnsure) return Unknown(failure.status);
  }
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begin);
  if (options_.slow_ms > 0 && took.count() >= options_.slow_ms && options_.logger != nullptr) {
    options_.logger->Log(LogLevel::kWarning, absl::StrCat("backend ", name(), ": slow call: ", what,
                                                          " took ", took.count(), " ms"));
  }
  return failure.status;
}

absl::Status Client::Range(const pb::RangeRequest& request, pb::RangeResponse* response,
                           SteadyTime until) {
  return Run("Range", false, until, [&](const Member& to, grpc::ClientContext* context) {
    return to.kv->Range(context, request, response);
  });
}

absl::Status Client::Read(const pb::TxnRequest& request, pb::TxnResponse* response,
                          SteadyTime until) {
  return Run("Txn (read)", false, until, [&](const Member& to, grpc::ClientContext* context) {
    return to.kv->Txn(context, request, response);
  });
}

absl::Status Client::Write(const pb::TxnRequest& request, pb::TxnResponse* response,
                           SteadyTime until) {
  return Run("Txn", true, until, [&](const Member& to, grpc::ClientContext* context) {
    return to.kv->Txn(context, request, response);
  });
}

absl::Status Client::Compact(int64_t etcd_rev) {
  pb::CompactionRequest request;
  request.set_revision(etcd_rev);
  pb::CompactionResponse response;
  const absl::Status status = Run("Compact", false, SteadyAfter(kCallTime),
                                  [&](const Member& to, grpc::ClientContext* context) {
                                    return to.kv->Compact(context, request, &response);
                                  });
  return CodeOf(status) == Code::kCompacted ? absl::OkStatus() : status;
}

absl::StatusOr<pb::StatusResponse> Client::ServerStatus() {
  pb::StatusResponse response;
  const absl::Status status = Run("Status", false, SteadyAfter(kCallTime),
                                  [&](const Member& to, grpc::ClientContext* context) {
                                    return to.maintenance->Status(context, {}, &response);
                                  });
  if (!status.ok()) return status;
  return response;
}

void WatchCall::Cancel() {
  MutexLock lock(&mu_);
  cancelled_ = true;
  if (running_ != nullptr) running_->TryCancel();
}

absl::Status Client::Watch(const pb::WatchRequest& request, WatchCall* call,
                           const std::function<void(const pb::WatchResponse&)>& sink) {
  const std::shared_ptr<const Member> used = At(watching_++ % size_);
  const Member& to = *used;
  absl::StatusOr<std::string> token = Token(to, SteadyAfter(kCallTime));
  if (!token.ok()) return token.status();
  grpc::ClientContext context;
  context.AddMetadata("hasleader", "true");  // a member that lost its leader ends the stream
  if (!token->empty()) context.AddMetadata("token", *token);
  {
    MutexLock lock(&call->mu_);
    if (call->cancelled_) return MakeStatus(Code::kCancelled, "cancelled", name());
    call->running_ = &context;
  }
  grpc::Status status;
  {
    auto stream = to.watch->Watch(&context);
    pb::WatchResponse response;
    if (stream->Write(request)) {
      while (stream->Read(&response) && !response.canceled()) sink(response);
    }
    context.TryCancel();
    status = stream->Finish();
  }
  MutexLock lock(&call->mu_);
  call->running_ = nullptr;
  Forget(*token);  // it may be why
  return Failed(status, to).status;
}

}  // namespace storage::etcd
