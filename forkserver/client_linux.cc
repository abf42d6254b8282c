#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/fd_message_child.h"
#include "base/server_birth_child.h"
#include "base/status.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/executable.h"
#include "forkserver/client.h"
#include "forkserver/request.h"
#include "forkserver/server.h"
#include "forkserver/template.h"
#include "ipc/deadline.h"
#include "serialization/messages.h"

extern char** environ;

namespace brood::internal {
namespace {

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

// Of one that preloads all by itself.
PreparationData PreparationOf(const ForkServerOptions& options) {
  PreparationData preparation;
  preparation.start_method = StartMethod::kForkServer;
  preparation.preload = options.preload;
  preparation.freeze = options.freeze;
  for (const Template& added : options.templates) {
    preparation.preload.insert(preparation.preload.end(), added.preload.begin(), added.preload.end());
    preparation.freeze = added.freeze;
  }
  return preparation;
}

// proc(5), /proc/pid/fdinfo
pid_t PidOf(int pidfd) {
  char text[1024];
  if (child::ReadFile(AT_FDCWD, absl::StrCat("/proc/self/fdinfo/", pidfd).c_str(), text, sizeof(text)) <= 0) return 0;
  return static_cast<pid_t>(child::NumberAfter(text, "Pid:", 0));
}

void EndNow(const ForkServer::Instance& instance) {
  syscall(SYS_pidfd_send_signal, instance.pidfd->get(), SIGKILL, nullptr, 0);
}

absl::Status AwaitReady(ForkServer::Instance& instance, absl::Duration patience, const Deadline& deadline) {
  std::string preloading;
  for (;;) {
    pollfd polls[] = {{instance.socket.get(), POLLIN, 0}};
    const int ready = ppoll(polls, 1, deadline.ToTimespec().get(), nullptr);
    const std::string where = preloading.empty() ? "forkserver" : absl::StrCat("forkserver: ", preloading);
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
                             : absl::StrCat(where, ": the server's supervisor ended while it did that"));
    }
    note.text[sizeof(note.text) - 1] = '\0';
    if (note.kind == ServerNote::Kind::kFailed) return absl::FailedPreconditionError(absl::StrCat("forkserver: ", note.text));
    const absl::Duration time = absl::Nanoseconds(note.nanoseconds);
    if (note.kind == ServerNote::Kind::kReady) {
      instance.report.time = time;
      instance.report.frozen = note.Text();
      return absl::OkStatus();
    }
    if (note.kind == ServerNote::Kind::kPreloaded) {
      instance.report.preloads.push_back({.name = std::string(note.Text()), .time = time, .memory_bytes = note.bytes});
    } else {
      preloading = note.Text();
    }
  }
}

}  // namespace

uint64_t ForkServer::NextNumber() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

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
  UniqueFd pidfd(birth.pidfd);
  if (pidfd.valid()) BROOD_RETURN_IF_ERROR(AboveStreams(pidfd));
  if (birth.step != nullptr) {
    const bool no_room = birth.error == EAGAIN || birth.error == ENOMEM;
    return ErrnoStatus(birth.error, absl::StrCat("start the forkserver: ", birth.step), name,
                       no_room ? "see the limits of processes (ulimit -u) and memory (ulimit -v, -d)" : "");
  }
  instance->pidfd = std::make_shared<const UniqueFd>(std::move(pidfd));
  instance->pid = birth.pid;
  BROOD_RETURN_IF_ERROR(SendRequest(instance->socket.get(), EncodePreparationData(PreparationOf(options_)), {owner.get()},
                                    {}));  // It is empty yet: nothing to wait for.
  return instance;
}

absl::StatusOr<std::shared_ptr<ForkServer::Instance>> ForkServer::BearTemplate(absl::Duration patience) const {
  const Template& own = options_.templates.back();
  if (own.name.empty() || absl::StrContains(own.name, '/')) {
    return absl::InvalidArgumentError(absl::StrCat("template \"", own.name, "\": its name must not be empty, nor hold '/'"));
  }
  const Deadline deadline(patience);
  const UniqueFd owner(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!owner.valid()) return ErrnoStatus(errno, "pidfd_open");
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  auto instance = std::make_shared<Instance>();
  instance->socket.reset(pair[0]);
  UniqueFd theirs(pair[1]);
  BROOD_RETURN_IF_ERROR(AboveStreams(instance->socket));
  // What its preload prints is the user's.
  std::vector<int> fds = {theirs.get(), owner.get()};
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return ErrnoStatus(errno, "open", "/dev/null");
  for (int stream = 0; stream < 3; ++stream) fds.push_back(stream > 0 && fcntl(stream, F_GETFD) >= 0 ? stream : null.get());
  const PreparationData preparation = PreparationOf(options_);
  BROOD_RETURN_IF_ERROR(base_->Send(EncodeTemplate(preparation, preparation.preload.size() - own.preload.size()), fds,
                                    {.start = patience, .request = patience}, kTemplateTag)
                            .status());
  theirs.reset();
  pollfd polled = {instance->socket.get(), POLLIN, 0};
  int ready;
  while ((ready = ppoll(&polled, 1, deadline.ToTimespec().get(), nullptr)) < 0 && errno == EINTR) {
  }
  if (ready == 0) return absl::DeadlineExceededError(absl::StrCat("forkserver: template ", own.name, ": not born in time; see preload_timeout"));
  ServerNote note;
  const iovec part = {&note, sizeof(note)};
  int fd = -1;
  const child::FdMessage message = child::ReceiveWithFds(instance->socket.get(), &part, 1, &fd, 1, 0);
  UniqueFd pidfd(fd);
  if (message.bytes != static_cast<ssize_t>(sizeof(note))) return absl::UnavailableError("forkserver: the server ended while it forked a template");
  if (note.kind == ServerNote::Kind::kFailed) return absl::FailedPreconditionError(absl::StrCat("forkserver: ", note.Text()));
  if (message.fds_lost || fd < 0) return absl::ResourceExhaustedError("no room for the descriptor of a template; see the limit of open files");
  BROOD_RETURN_IF_ERROR(AboveStreams(pidfd));
  instance->pid = PidOf(pidfd.get());
  if (instance->pid <= 0) return absl::UnavailableError("forkserver: the supervisor of a template has ended, or its number cannot be read");
  instance->pidfd = std::make_shared<const UniqueFd>(std::move(pidfd));
  return instance;
}

std::shared_ptr<ForkServer::Instance> ForkServer::Running(const ForkServerPatience& patience, For what) {
  std::shared_ptr<Instance> retired;  // Ends without the lock.
  const std::lock_guard<std::mutex> lock(mutex_);
  if (running_ == nullptr) return nullptr;
  if (what == For::kNothing) return running_;
  const auto age = absl::FromChrono(std::chrono::steady_clock::now() - running_->start);
  if ((patience.children != 0 && running_->children >= patience.children) || age >= patience.age) {
    retired = std::move(running_);
    running_.reset();
    // Another fork of that would be laid out in the same way.
    if (base_ != nullptr) base_->Replace();
    return nullptr;
  }
  ++running_->children;
  return running_;
}

absl::StatusOr<std::shared_ptr<ForkServer::Instance>> ForkServer::Get(const ForkServerPatience& patience, For what) {
  if (std::shared_ptr<Instance> running = Running(patience, what); running != nullptr) return running;
  if (patience.ended == ForkServerPatience::Ended::kRefuse) return absl::UnavailableError("forkserver: it has ended, and is started again");
  const Deadline deadline(patience.start);
  std::unique_lock<std::timed_mutex> starting(starting_, std::defer_lock);
  if (!LockWithin(starting, patience.start)) {
    return absl::DeadlineExceededError(absl::StrCat("forkserver: not ready after ", absl::FormatDuration(patience.start),
                                                    ", another thread is starting it; see preload_timeout"));
  }
  if (std::shared_ptr<Instance> running = Running(patience, what); running != nullptr) return running;
  BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Instance> instance, base_ != nullptr ? BearTemplate(patience.start) : Bear());
  if (absl::Status ready = AwaitReady(*instance, patience.start, deadline); !ready.ok()) {
    EndNow(*instance);
    return ready;
  }
  // However long that took, and however short a life it is to have.
  const std::lock_guard<std::mutex> lock(mutex_);
  if (running_ == nullptr) running_ = std::move(instance);  // Else TakeOver was quicker, and ours ends without the lock.
  if (what == For::kChild) ++running_->children;
  return running_;
}

absl::Status ForkServer::Start(const ForkServerPatience& patience) { return Get(patience, For::kNothing).status(); }

absl::StatusOr<ServerReport> ForkServer::Report(const ForkServerPatience& patience) {
  BROOD_ASSIGN_OR_RETURN(const std::shared_ptr<Instance> instance, Get(patience, For::kNothing));
  return instance->report;
}

bool ForkServer::MayBear(const std::shared_ptr<Instance>& instance, const ForkServerPatience& patience) {
  return Running(patience, For::kChild) == instance;
}

namespace {

bool IsChild(uint64_t tag) { return (tag & ~kLeaseAfter) == 0; }

// One whose number another takes is sent anew when it is asked for again. The lock is held until the request has followed.
absl::Status SendInSlot(ForkServer::Instance& instance, std::string_view bytes, const std::vector<int>& fds,
                        const ForkServerPatience& patience, uint64_t tag, std::string_view plan) {
  const std::lock_guard<std::mutex> lock(instance.plans_mutex);
  const auto known = std::find(instance.plans.begin(), instance.plans.end(), plan);
  auto number = static_cast<uint32_t>(known - instance.plans.begin());
  if (known == instance.plans.end()) {
    number = instance.next_plan++ % kMaxPlans;
    if (number < instance.plans.size()) instance.plans[number].clear();  // Nobody has it, should what follows fail.
    BROOD_RETURN_IF_ERROR(SendRequest(instance.socket.get(), plan, {}, {.patience = patience.request, .tag = kPlanTag | number}));
    instance.plans.resize(std::max<size_t>(instance.plans.size(), number + 1));
    instance.plans[number] = plan;
  }
  return SendRequest(instance.socket.get(), bytes, fds, {.patience = patience.request, .tag = tag | number});
}

}  // namespace

absl::StatusOr<std::shared_ptr<ForkServer::Instance>> ForkServer::Send(std::string_view bytes, const std::vector<int>& fds,
                                                                       const ForkServerPatience& patience, uint64_t tag,
                                                                       std::string_view plan) {
  constexpr int kAttempts = 3;  // Somebody who kills each server at once does not keep us for ever.
  absl::Status sent;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    BROOD_ASSIGN_OR_RETURN(std::shared_ptr<Instance> instance, Get(patience, IsChild(tag) ? For::kChild : For::kNothing));
    sent = plan.empty() ? SendRequest(instance->socket.get(), bytes, fds, {.patience = patience.request, .tag = tag})
                        : SendInSlot(*instance, bytes, fds, patience, IsChild(tag) ? kInSlotTag | tag : tag, plan);
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

void ForkServer::ForgetEnded() {
  std::shared_ptr<Instance> ended;  // Ends without the lock.
  const std::lock_guard<std::mutex> lock(mutex_);
  if (running_ == nullptr) return;
  pollfd polled = {running_->pidfd->get(), POLLIN, 0};
  if (poll(&polled, 1, 0) == 1) ended = std::exchange(running_, nullptr);
}

void ForkServer::Replace() {
  std::shared_ptr<Instance> retired;  // Ends without the lock.
  const std::lock_guard<std::mutex> lock(mutex_);
  retired = std::move(running_);
  running_.reset();
  if (base_ != nullptr) base_->Replace();
}

std::shared_ptr<ForkServer::Instance> ForkServer::TakeOver(ForkServer& ready) {
  const std::scoped_lock lock(mutex_, ready.mutex_);
  return std::exchange(running_, std::move(ready.running_));
}

ServerState ForkServer::State() {
  ServerState state;
  state.address = "server";
  for (const Template& added : options_.templates) absl::StrAppend(&state.address, "/", added.name);
  state.executable = options_.executable;
  state.preload = PreparationOf(options_).preload;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (running_ == nullptr) return state;
  pollfd ended = {running_->pidfd->get(), POLLIN, 0};
  if (poll(&ended, 1, 0) != 0) return state;
  state.running = true;
  state.supervisor = running_->pid;
  state.children = running_->children;
  state.age = absl::FromChrono(std::chrono::steady_clock::now() - running_->start);
  state.report = running_->report;
  return state;
}

std::shared_ptr<ForkServer::Instance> ForkServer::Running() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return running_;
}

void ForkServer::Continue(const std::shared_ptr<Instance>& instance) const {
  syscall(SYS_pidfd_send_signal, instance->pidfd->get(), SIGCONT, nullptr, 0);
}

void ForkServer::Kill(const std::shared_ptr<Instance>& instance) {
  EndNow(*instance);
  Forget(instance);
}

}  // namespace brood::internal
