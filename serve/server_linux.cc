#include "serve/server.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "ipc/address.h"
#include "ipc/socket_address.h"
#include "launcher/context.h"
#include "launcher/served_start.h"
#include "sandbox/ceiling.h"
#include "sandbox/machine.h"
#include "sandbox/policy_flatbuffer.h"
#include "serve/ancestors.h"
#include "serve/client.h"
#include "serve/own_processes.h"

namespace brood {
namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptAtOnce = 64;       // Then those that are there have their turn.
constexpr size_t kMaxTighter = 64;      // Policies that are kept ready.
constexpr size_t kMaxPolicyRequestBytes = size_t{256} << 10;
constexpr int64_t kTryAgainNs = 50'000'000;
constexpr absl::Duration kStopPatience = absl::Seconds(20);
constexpr absl::Duration kServerPatience = absl::Seconds(2);

int64_t Now() { return static_cast<int64_t>(child::MonotonicNanoseconds()); }

}  // namespace

ServeServer::ServeServer(ServeOptions options) : options_(std::move(options)), quotas_(options_.quota), forkservers_(loop_, options_.rotation, options_.warn) {
  context_.preload = options_.preload;
  context_.freeze = options_.freeze;
  // Its queue is full only if it is stopped. Nobody else waits for that longer than this.
  context_.server_timeout = kServerPatience;
}

ServeServer::~ServeServer() {
  for (std::thread& thread : threads_) thread.join();
  clients_.clear();
  removed_.clear();
}

absl::StatusOr<std::unique_ptr<ServeServer>> ServeServer::Create(ServeOptions options) {
  // By whose child a request comes is seen there.
  if (ThisMachine().foreign_proc) {
    return absl::FailedPreconditionError("/proc is of another pid namespace, so that the server would not know whose child asks; mount one of this: "
                                         "unshare --mount-proc; as root: mount -t proc proc /proc");
  }
  std::unique_ptr<ServeServer> server(new ServeServer(std::move(options)));
  BROOD_ASSIGN_OR_RETURN(server->policy_, CompilePolicy(server->options_.policy));
  BROOD_RETURN_IF_ERROR(server->loop_.Open());
  server->joined_event_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!server->joined_event_.valid()) return ErrnoStatus(errno, "eventfd");
  BROOD_ASSIGN_OR_RETURN(auto contexts, internal::ContextsOf(server->context_, server->options_.templates));
  BROOD_RETURN_IF_ERROR(server->forkservers_.Start(std::move(contexts)));
  if (server->options_.before_listening) BROOD_RETURN_IF_ERROR(server->options_.before_listening());
  BROOD_RETURN_IF_ERROR(server->Listen());
  server->start_ns_ = Now();
  return server;
}

absl::Status ServeServer::Listen() {
  const Address address = Address::UnixPath(options_.socket);
  BROOD_ASSIGN_OR_RETURN(const internal::SocketAddress to, internal::ToSocketAddress(address, TcpReach::kLoopback));
  socket_.reset(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_.valid()) return ErrnoStatus(errno, "socket");
  absl::StatusOr<internal::SocketFile> file =
      internal::SocketFile::Listen(socket_.get(), address, to, kBacklog, StaleSocketFile::kReplace);
  if (!file.ok()) return file.status();
  file_.emplace(*std::move(file));
  // Who may be served is decided by who it is: OnConnect. unix(7): to connect one needs to write.
  if (!options_.other_users.empty() && chmod(options_.socket.c_str(), 0666) != 0) {
    return ErrnoStatus(errno, "let other users connect to", options_.socket);
  }
  return absl::OkStatus();
}

absl::Status ServeServer::Run(int stop) {
  BROOD_RETURN_IF_ERROR(loop_.Watch(stop, EPOLLIN, [this, stop](uint32_t) {
    loop_.Forget(stop);
    Stop();
  }));
  BROOD_RETURN_IF_ERROR(loop_.Watch(joined_event_.get(), EPOLLIN, [this](uint32_t) { OnJoined(); }));
  BROOD_RETURN_IF_ERROR(loop_.Watch(socket_.get(), EPOLLIN, [this](uint32_t) { Accept(); }));
  bool over = false;
  while (!over) {
    loop_.Step();
    removed_.clear();
    if (!stopping_) continue;
    over = std::none_of(clients_.begin(), clients_.end(), [](const auto& one) { return one.second->busy(); });
    if (Now() > stop_deadline_ns_) over = true;
  }
  return absl::OkStatus();
}

void ServeServer::Stop() {
  stopping_ = true;
  stop_deadline_ns_ = Now() + absl::ToInt64Nanoseconds(kStopPatience);
  loop_.Schedule(stop_deadline_ns_, [] {});
  loop_.Forget(socket_.get());
  file_.reset();
  socket_.reset();
  std::vector<internal::ServeClient*> all;
  for (const auto& [number, client] : clients_) all.push_back(client.get());
  for (internal::ServeClient* client : all) client->Stop();
}

// --- connections ---

void ServeServer::Accept() {
  for (int i = 0; i < kAcceptAtOnce; ++i) {
    UniqueFd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection.valid()) {
      if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
      // It stays in the queue, and the queue readable.
      if (MakeRoom()) continue;
      loop_.Change(socket_.get(), 0);
      loop_.Schedule(Now() + kTryAgainNs, [this] {
        if (socket_.valid()) loop_.Change(socket_.get(), EPOLLIN);
      });
      return;
    }
    ucred peer = {};
    socklen_t size = sizeof(peer);
    if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    const uint64_t number = next_client_++;
    auto client = std::make_unique<internal::ServeClient>(*this, number, std::move(connection), peer);
    internal::ServeClient* const mine = client.get();
    clients_.emplace(number, std::move(client));
    waiting_.emplace(number, mine);
    const bool served = peer.uid == geteuid() || std::find(options_.other_users.begin(), options_.other_users.end(),
                                                           peer.uid) != options_.other_users.end();
    if (!served) {
      mine->Refuse(absl::PermissionDeniedError(absl::StrCat("user ", peer.uid, " is not served here; see brood serve --allow-uid")));
    } else if (const absl::Status begun = mine->Begin(); !begun.ok()) {
      mine->Refuse(begun);
    } else if (waiting_.size() > options_.max_waiting) {
      MakeRoom();
    }
    removed_.clear();
  }
}

// The one goes that has said nothing for longest.
bool ServeServer::MakeRoom() {
  if (waiting_.empty()) return false;
  waiting_.begin()->second->Refuse(absl::ResourceExhaustedError("too many connections ask for nothing"));
  removed_.clear();
  return true;
}

void ServeServer::Remove(uint64_t client) {
  waiting_.erase(client);
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  removed_.push_back(std::move(found->second));
  clients_.erase(found);
}

// --- what is told of all that ---

void ServeServer::NoteBorn(uint64_t client) {
  waiting_.erase(client);
  ++status_.live;
  ++status_.born;
}

void ServeServer::NoteEnded(const Outcome& outcome, absl::Duration since_request) {
  --status_.live;
  ++status_.ended[std::string(outcome.StatusWord())];
  status_.run.Add(since_request);
}

ServeStatus ServeServer::Status() {
  ServeStatus status = status_;
  status.version = options_.version;
  status.uptime = absl::Nanoseconds(Now() - start_ns_);
  status.connections = clients_.size();
  status.waiting = waiting_.size();
  status.rotations = forkservers_.rotations();
  status.rotation_failures = forkservers_.rotation_failures();
  status.rotation_failure = forkservers_.rotation_failure();
  status.replaced = forkservers_.replaced();
  for (const auto& [path, context] : forkservers_.contexts()) {
    ServeTemplateStatus one;
    one.path = path;
    one.children = forkservers_.children(path);
    for (const std::string& name : path.empty() ? context.preload : context.templates.back().preload) one.preload.push_back({.name = name});
    const absl::StatusOr<internal::ServedStart> served = internal::ServedStart::Prepare(context);
    if (served.ok()) {
      const ServerState state = served->State();
      one.running = state.running;
      one.time = state.report.time;
      const std::vector<PreloadReport>& reports = state.report.preloads;
      for (size_t i = 0; i < reports.size(); ++i) {
        one.memory_bytes += reports[i].memory_bytes;
        if (i >= one.preload.size() || reports[i].name != one.preload[i].name) continue;  // The order is that which was asked for.
        one.preload[i].time = reports[i].time;
        one.preload[i].memory_bytes = reports[i].memory_bytes;
      }
    }
    status.templates.push_back(std::move(one));
  }
  const internal::OwnProcesses own = internal::CountOwnProcesses(forkservers_.supervisors().pids());
  status.serve_bytes = own.own_bytes;
  status.forkserver_bytes = own.forkserver_bytes;
  status.servers = own.servers;
  status.keepers = own.keepers;
  return status;
}

absl::StatusOr<const ContextOptions*> ServeServer::ContextOf(const std::string& template_path) const {
  const auto found = forkservers_.contexts().find(template_path);
  if (found != forkservers_.contexts().end()) return &found->second;
  std::vector<std::string> known;
  for (const auto& [path, context] : forkservers_.contexts()) {
    if (!path.empty()) known.push_back(path);
  }
  return absl::NotFoundError(absl::StrCat("template \"", template_path, "\": ",
                                          known.empty() ? "this server has none" : absl::StrCat("this server has ", absl::StrJoin(known, ", "))));
}

// --- policies ---

absl::StatusOr<internal::ServeCeiling> ServeServer::CeilingOf(const ucred& peer) {
  forkservers_.supervisors().ForgetEnded();
  // Whatever a child starts whose privileges are dropped is a process of ours: no set-id program makes it somebody else's, and what is of
  // other ids in its user namespace we may signal. A label may forbid that. kill(2), user_namespaces(7)
  const Policy& most = policy_->policy();
  const auto stranger = most.drop_privileges && most.label.empty() ? internal::HiddenStranger::kEndsTheList : internal::HiddenStranger::kIsAnError;
  BROOD_ASSIGN_OR_RETURN(std::vector<pid_t> all, internal::AncestorsOf(peer.pid, stranger));
  for (const pid_t above : all) {
    for (const auto& [number, client] : clients_) {
      if (client->HasProcess(above)) return internal::ServeCeiling{client->policy(), client->payer()};
    }
    if (above != getpid() && !forkservers_.supervisors().Has(above)) continue;
    return absl::PermissionDeniedError("request: from below a child of this server, of which it is not known what it may have");
  }
  // A guardian that has outlived its supervisor is below nobody who is known by that, and has what its child has left.
  BROOD_ASSIGN_OR_RETURN(const std::vector<pid_t> own, internal::AncestorsOf(getpid(), internal::HiddenStranger::kEndsTheList));
  all.erase(std::find_first_of(all.begin(), all.end(), own.begin(), own.end()), all.end());
  for (const auto& [number, client] : clients_) {
    if (client->IsBelow(all)) return internal::ServeCeiling{client->policy(), client->payer()};
  }
  return internal::ServeCeiling{policy_, {.process = peer.pid, .user = peer.uid}};
}

bool ServeServer::AnyStarting() const {
  return std::any_of(clients_.begin(), clients_.end(), [](const auto& one) { return one.second->starting(); });
}

absl::StatusOr<std::shared_ptr<const CompiledPolicy>> ServeServer::PolicyFor(
    const std::shared_ptr<const CompiledPolicy>& ceiling, const std::optional<std::string>& asked) {
  if (!asked.has_value()) return ceiling;
  if (asked->size() > kMaxPolicyRequestBytes) {
    return absl::InvalidArgumentError(absl::StrCat("policy: ", asked->size(), " bytes; at most ", kMaxPolicyRequestBytes));
  }
  const std::string most = EncodePolicy(ceiling->policy());
  if (*asked == most) return ceiling;
  const std::string key = absl::StrCat(most.size(), ":", most, *asked);
  if (const auto found = tighter_.find(key); found != tighter_.end()) return found->second;
  BROOD_ASSIGN_OR_RETURN(const Policy wanted, DecodePolicy(*asked));
  BROOD_ASSIGN_OR_RETURN(const Policy policy, Tighten(ceiling->policy(), wanted));
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<const CompiledPolicy> compiled, CompilePolicy(policy));
  if (tighter_.size() >= kMaxTighter) tighter_.clear();
  return tighter_[key] = std::move(compiled);
}

// --- those that end slowly ---

void ServeServer::JoinElsewhere(uint64_t client, Process process) {
  ++joining_;
  auto shared = std::make_shared<Process>(std::move(process));
  threads_.emplace_back([this, client, shared] {
    Outcome outcome;
    absl::StatusOr<Outcome> joined = shared->Join();
    if (joined.ok()) {
      outcome = *std::move(joined);
    } else {
      outcome.ending = Lost{std::string(joined.status().message())};
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    joined_.emplace_back(client, std::move(outcome));
    const uint64_t one = 1;
    (void)!write(joined_event_.get(), &one, sizeof(one));
  });
}

void ServeServer::OnJoined() {
  uint64_t count = 0;
  (void)!read(joined_event_.get(), &count, sizeof(count));
  std::vector<std::pair<uint64_t, Outcome>> joined;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    joined.swap(joined_);
  }
  for (const auto& [client, outcome] : joined) {
    --joining_;
    const auto found = clients_.find(client);
    if (found != clients_.end()) found->second->OnJoined(outcome);
  }
  if (joining_ > 0) return;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace brood
