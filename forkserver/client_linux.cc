#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>

#include "absl/strings/str_cat.h"
#include "base/per_process.h"
#include "base/server_birth_child.h"
#include "base/status.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/executable.h"
#include "forkserver/client.h"
#include "forkserver/request.h"
#include "forkserver/server.h"
#include "ipc/deadline.h"
#include "serialization/messages.h"

extern char** environ;

namespace brood::internal {
namespace {

constexpr size_t kMaxServers = 16;

struct Servers {
  std::mutex mutex;  // Guards what follows; not held while a server starts.
  std::list<std::pair<std::string, std::shared_ptr<ForkServer>>> all;  // The latest used first.
};

Servers& Mine() {
  static PerProcess<Servers> one;
  return one.Get();
}

// In which each text has its length, so that no two lists give the same.
std::string KeyOf(const ForkServerOptions& options, std::string_view fingerprint) {
  std::string key = absl::StrCat(options.executable.size(), ":", options.executable, "|",
                                 static_cast<int>(options.freeze), "|", options.preload.size());
  for (const std::string& text : options.preload) absl::StrAppend(&key, ",", text.size(), ":", text);
  return absl::StrCat(key, "|", fingerprint);
}

// A caller that has closed a stream of its own must not find ours there, which stay.
absl::Status AboveStreams(UniqueFd& fd) {
  if (fd.get() > 2) return absl::OkStatus();
  fd = Duplicate(fd.get());
  return fd.valid() ? absl::OkStatus() : ErrnoStatus(errno, "duplicate a descriptor");
}

// Whether it was locked. std::timed_mutex adds to the time of now what it is given, which must not overflow.
bool LockWithin(std::unique_lock<std::timed_mutex>& lock, absl::Duration patience) {
  return lock.try_lock_for(absl::ToChronoNanoseconds(std::clamp(patience, absl::ZeroDuration(), absl::Hours(24 * 365))));
}

void EndNow(const ForkServer::Instance& instance) {
  syscall(SYS_pidfd_send_signal, instance.pidfd.get(), SIGKILL, nullptr, 0);
}

absl::Status AwaitReady(const ForkServer::Instance& instance, absl::Duration patience, const Deadline& deadline) {
  std::string preloading;
  for (;;) {
    pollfd polls[] = {{instance.socket.get(), POLLIN, 0}};
    const int ready = ppoll(polls, 1, deadline.ToTimespec().get(), nullptr);
    const std::string where = preloading.empty() ? "forkserver" : absl::StrCat("forkserver: preload ", preloading);
    if (ready == 0 && deadline.passed()) {
      return absl::DeadlineExceededError(
          absl::StrCat(where, ": not ready after ", absl::FormatDuration(patience), "; see preload_timeout",
                       preloading.empty() ? " (is brood::Bootstrap called at the start of main?)" : ""));
    }
    if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "poll", "the forkserver");
    if (ready <= 0) continue;
    ServerNote note;
    const ssize_t n = recv(instance.socket.get(), &note, sizeof(note), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n != static_cast<ssize_t>(sizeof(note)) || note.magic != ServerNote().magic) {
      return absl::FailedPreconditionError(
          preloading.empty() ? "forkserver: the server ended before it was ready (is brood::Bootstrap called at the start of "
                               "main?)"
                             : absl::StrCat(where, ": the server ended while it ran that"));
    }
    note.text[sizeof(note.text) - 1] = '\0';
    if (note.kind == ServerNote::Kind::kReady) return absl::OkStatus();
    if (note.kind == ServerNote::Kind::kFailed) return absl::FailedPreconditionError(absl::StrCat("forkserver: ", note.text));
    preloading = note.text;
  }
}

}  // namespace

ForkServer::Instance::~Instance() {
  // Forks of this process may hold copies of our end.
  shutdown(socket.get(), SHUT_RDWR);
}

absl::StatusOr<std::shared_ptr<ForkServer::Instance>> ForkServer::Bear() const {
  BROOD_ASSIGN_OR_RETURN(const UniqueFd executable, OpenExecutable("forkserver", options_.executable));
  // The process that hands the server on would be the first of that namespace, and all would end with it.
  // pid_namespaces(7).
  struct stat own = {}, childrens = {};
  if (stat("/proc/thread-self/ns/pid", &own) != 0) return ErrnoStatus(errno, "forkserver: look at", "/proc/thread-self/ns/pid");
  // ENOENT: it has no process yet.
  if (stat("/proc/thread-self/ns/pid_for_children", &childrens) != 0 || own.st_ino != childrens.st_ino) {
    return absl::FailedPreconditionError(
        "forkserver: the children of this process are to have another pid namespace, which a server cannot enter; use spawn");
  }
  const UniqueFd owner(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!owner.valid()) return ErrnoStatus(errno, "pidfd_open");
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  auto instance = std::make_shared<Instance>();
  instance->socket.reset(pair[0]);
  const UniqueFd theirs(pair[1]);
  BROOD_RETURN_IF_ERROR(AboveStreams(instance->socket));

  const std::string socket_number = absl::StrCat(child::kServerSocket);
  const std::string name = options_.executable.empty() ? program_invocation_name : options_.executable;
  const char* const argv[] = {name.c_str(), kServerFlag, socket_number.c_str(), nullptr};
  child::ServerBirth birth;
  birth.executable = executable.get();
  birth.socket = theirs.get();
  birth.argv = argv;
  birth.envp = environ;
  child::BearServer(&birth);
  instance->pidfd.reset(birth.pidfd);
  if (birth.pidfd >= 0) BROOD_RETURN_IF_ERROR(AboveStreams(instance->pidfd));
  if (birth.step != nullptr) {
    return ErrnoStatus(birth.error, absl::StrCat("start the forkserver: ", birth.step), name);
  }
  PreparationData preparation;
  preparation.start_method = StartMethod::kForkServer;
  preparation.preload = options_.preload;
  preparation.freeze = options_.freeze;
  BROOD_RETURN_IF_ERROR(SendRequest(instance->socket.get(), EncodePreparationData(preparation), {owner.get()},
                                    {}));  // It is empty yet: nothing to wait for.
  return instance;
}

absl::StatusOr<std::shared_ptr<ForkServer::Instance>> ForkServer::Get(absl::Duration patience) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (running_ != nullptr) return running_;
  }
  const Deadline deadline(patience);
  std::unique_lock<std::timed_mutex> starting(starting_, std::defer_lock);
  if (!LockWithin(starting, patience)) {
    return absl::DeadlineExceededError(absl::StrCat("forkserver: not ready after ", absl::FormatDuration(patience),
                                                    ", another thread is starting it; see preload_timeout"));
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (running_ != nullptr) return running_;
  }
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Instance> instance, Bear());
  if (absl::Status ready = AwaitReady(*instance, patience, deadline); !ready.ok()) {
    EndNow(*instance);
    return ready;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  running_ = instance;
  return instance;
}

absl::Status ForkServer::Start(absl::Duration patience) { return Get(patience).status(); }

absl::StatusOr<std::shared_ptr<ForkServer::Instance>> ForkServer::Send(std::string_view bytes, const std::vector<int>& fds,
                                                                       const ForkServerPatience& patience, uint64_t tag) {
  constexpr int kAttempts = 3;  // Somebody who kills each server at once does not keep us for ever.
  absl::Status sent;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Instance> instance, Get(patience.start));
    sent = SendRequest(instance->socket.get(), bytes, fds, {.patience = patience.request, .tag = tag});
    if (sent.ok()) return instance;
    if (absl::IsDeadlineExceeded(sent)) Kill(instance);
    if (!absl::IsUnavailable(sent)) return sent;
    Forget(instance);
  }
  return sent;
}

void ForkServer::Forget(const std::shared_ptr<Instance>& instance) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (running_ == instance) running_.reset();
}

void ForkServer::Replace() {
  const std::lock_guard<std::mutex> lock(mutex_);
  running_.reset();
}

void ForkServer::Continue(const std::shared_ptr<Instance>& instance) const {
  syscall(SYS_pidfd_send_signal, instance->pidfd.get(), SIGCONT, nullptr, 0);
}

void ForkServer::Kill(const std::shared_ptr<Instance>& instance) {
  EndNow(*instance);
  Forget(instance);
}

std::shared_ptr<ForkServer> FindForkServer(const ForkServerOptions& options, std::string_view fingerprint) {
  const std::string key = KeyOf(options, fingerprint);
  std::shared_ptr<ForkServer> retired;  // Ends without the lock.
  Servers& mine = Mine();
  const std::lock_guard<std::mutex> lock(mine.mutex);
  for (auto it = mine.all.begin(); it != mine.all.end(); ++it) {
    if (it->first != key) continue;
    mine.all.splice(mine.all.begin(), mine.all, it);
    return it->second;
  }
  mine.all.emplace_front(key, std::make_shared<ForkServer>(options));
  if (mine.all.size() > kMaxServers) {
    retired = std::move(mine.all.back().second);
    mine.all.pop_back();
  }
  return mine.all.front().second;
}

}  // namespace brood::internal
