#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "launcher/context.h"
#include "launcher/served_start.h"
#include "serve/forkservers.h"

namespace brood::internal {
namespace {

absl::Status StartOne(const std::string& path, const ContextOptions& context) {
  const absl::Status started = Context(StartMethod::kForkServer, context).StartServer();
  return started.ok() || path.empty() ? started : Annotate(started, absl::StrCat("template ", path));
}

}  // namespace

struct Forkservers::Ended {
  std::mutex mutex;
  UniqueFd event;
  std::vector<std::pair<std::string, absl::Status>> starts;
};

Forkservers::Forkservers(EventLoop& loop, const ServeRotation& when, std::function<void(std::string_view)> warn)
    : loop_(loop),
      warn_(std::move(warn)),
      rotation_(loop, when, [this](absl::StatusOr<Rotation::Made> made) { OnMade(std::move(made)); }),
      ended_(std::make_shared<Ended>()) {}

Forkservers::~Forkservers() {
  for (auto& [path, one] : all_) Unwatch(one);
}

absl::Status Forkservers::Start(std::map<std::string, ContextOptions> contexts) {
  contexts_ = std::move(contexts);
  ended_->event.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ended_->event.valid()) return ErrnoStatus(errno, "eventfd");
  BROOD_RETURN_IF_ERROR(loop_.Watch(ended_->event.get(), EPOLLIN, [this](uint32_t) { OnEnded(); }));
  for (const auto& [path, context] : contexts_) {
    BROOD_RETURN_IF_ERROR(StartOne(path, context));
    Watch(path);
  }
  return rotation_.Open(contexts_);
}

void Forkservers::Unwatch(One& one) {
  if (one.pidfd != nullptr) loop_.Forget(one.pidfd->get());
  one.pidfd.reset();
}

void Forkservers::Watch(const std::string& path) {
  One& one = all_[path];
  Unwatch(one);
  const absl::StatusOr<ServedStart> served = ServedStart::Prepare(contexts_.at(path));
  if (!served.ok()) return;
  one.server = served->server();
  const std::shared_ptr<ForkServer::Instance> running = served->Running();
  if (running == nullptr) return;
  supervisors_.Add(*running);
  // If that fails, its end is seen by who asks for a child.
  if (loop_.Watch(running->pidfd->get(), EPOLLIN, [this, path](uint32_t) { Begin(path); }).ok()) one.pidfd = running->pidfd;
}

void Forkservers::Begin(const std::string& path) {
  One& one = all_[path];
  Unwatch(one);
  if (one.starting) return;
  one.starting = true;
  const absl::StatusOr<ServedStart> served = ServedStart::Prepare(contexts_.at(path));
  if (served.ok()) served->ForgetEnded();
  try {
    std::thread([ended = ended_, path, context = contexts_.at(path)] {
      absl::Status status = StartOne(path, context);
      const std::lock_guard<std::mutex> lock(ended->mutex);
      ended->starts.emplace_back(path, std::move(status));
      eventfd_write(ended->event.get(), 1);
    }).detach();
  } catch (const std::system_error& error) {
    one.starting = false;
    one.failed_ns = static_cast<int64_t>(child::MonotonicNanoseconds());
    one.failure = absl::ResourceExhaustedError(absl::StrCat("start the forkserver again: no thread for that: ", error.what()));
  }
}

void Forkservers::OnEnded() {
  eventfd_t count = 0;
  eventfd_read(ended_->event.get(), &count);
  std::vector<std::pair<std::string, absl::Status>> starts;
  {
    const std::lock_guard<std::mutex> lock(ended_->mutex);
    starts.swap(ended_->starts);
  }
  for (auto& [path, status] : starts) {
    One& one = all_[path];
    one.starting = false;
    if (status.ok()) {
      Watch(path);
      continue;
    }
    one.failed_ns = static_cast<int64_t>(child::MonotonicNanoseconds());
    one.failure = std::move(status);
  }
}

// --- rotation ---

void Forkservers::NoteChild(const std::string& path, const ForkServer::Instance& instance, bool is_function) {
  supervisors_.Add(instance);  // One that a thread has just started is not watched yet.
  ++all_[path].children;
  if (is_function) rotation_.NoteChild();
}

uint64_t Forkservers::children(const std::string& path) const {
  const auto found = all_.find(path);
  return found != all_.end() ? found->second.children : 0;
}

absl::Status Forkservers::TakeOver(const Rotation::Made& made) {
  std::map<std::string, ServedStart> old;
  for (const auto& [path, server] : made) {
    BROOD_ASSIGN_OR_RETURN(ServedStart served, ServedStart::Prepare(contexts_.at(path)));
    old.emplace(path, std::move(served));
  }
  for (const auto& [path, server] : made) {
    // The supervisor of what it was sees the end of its socket, takes what is in that, and ends with the last of its children.
    old.at(path).TakeOver(*server);
    Watch(path);
  }
  return absl::OkStatus();
}

void Forkservers::OnMade(absl::StatusOr<Rotation::Made> made) {
  const absl::Status status = made.ok() ? TakeOver(*made) : made.status();
  if (status.ok()) {
    ++rotations_;
    rotation_failure_.clear();
    return;
  }
  ++rotation_failures_;
  rotation_failure_ = status.message();
  if (warn_) warn_(absl::StrCat("the forkserver could not be replaced, and goes on: ", rotation_failure_));
}

size_t Forkservers::replaced() {
  supervisors_.ForgetEnded();
  std::vector<pid_t> pids = supervisors_.pids();
  for (const auto& [path, context] : contexts_) {
    const absl::StatusOr<ServedStart> served = ServedStart::Prepare(context);
    const std::shared_ptr<ForkServer::Instance> running = served.ok() ? served->Running() : nullptr;
    if (running != nullptr) std::erase(pids, running->pid);
  }
  return pids.size();
}

absl::Status Forkservers::Await(const std::string& path, int64_t since_ns) {
  const One& one = all_[path];
  if (!one.starting && one.failed_ns > since_ns) return one.failure;
  if (!one.starting && one.pidfd == nullptr) Begin(path);
  return absl::OkStatus();
}

}  // namespace brood::internal
