#include <fcntl.h>
#include <poll.h>
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

Forkservers::Forkservers(EventLoop& loop) : loop_(loop), ended_(std::make_shared<Ended>()) {}

Forkservers::~Forkservers() {
  for (const auto& [path, one] : all_) loop_.Forget(one.pidfd.get());
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
  return absl::OkStatus();
}

void Forkservers::Watch(const std::string& path) {
  One& one = all_[path];
  loop_.Forget(one.pidfd.get());
  one.pidfd.reset();
  const absl::StatusOr<ServedStart> served = ServedStart::Prepare(contexts_.at(path));
  const std::shared_ptr<ForkServer::Instance> running = served.ok() ? served->Running() : nullptr;
  if (running == nullptr) return;
  one.pidfd.reset(fcntl(running->pidfd.get(), F_DUPFD_CLOEXEC, 3));
  if (!one.pidfd.valid()) return;  // Its end is seen by who asks for a child.
  loop_.Watch(one.pidfd.get(), EPOLLIN, [this, path](uint32_t) { Begin(path); }).IgnoreError();
}

void Forkservers::Begin(const std::string& path) {
  One& one = all_[path];
  loop_.Forget(one.pidfd.get());
  one.pidfd.reset();
  if (one.starting) return;
  one.starting = true;
  ++count_ended_;
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

uint64_t Forkservers::ended() const {
  uint64_t unseen = 0;
  for (const auto& [path, one] : all_) {
    pollfd polled = {one.pidfd.get(), POLLIN, 0};
    if (one.pidfd.valid() && poll(&polled, 1, 0) == 1) ++unseen;
  }
  return count_ended_ + unseen;
}

absl::Status Forkservers::Await(const std::string& path, int64_t since_ns) {
  const One& one = all_[path];
  if (!one.starting && one.failed_ns > since_ns) return one.failure;
  if (!one.starting && !one.pidfd.valid()) Begin(path);
  return absl::OkStatus();
}

}  // namespace brood::internal
