#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "base/child_safe.h"
#include "base/status.h"
#include "forkserver/event_loop.h"

namespace brood::internal {
namespace {

constexpr int kEvents = 64;
constexpr int64_t kLongestWaitMs = 3'600'000;

uint64_t KeyOf(int fd, uint32_t generation) { return (uint64_t{generation} << 32) | static_cast<uint32_t>(fd); }

}  // namespace

absl::Status EventLoop::Open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  return epoll_.valid() ? absl::OkStatus() : ErrnoStatus(errno, "epoll_create1");
}

absl::Status EventLoop::Watch(int fd, uint32_t events, Ready ready) {
  if (watched_.size() <= static_cast<size_t>(fd)) watched_.resize(static_cast<size_t>(fd) + 1);
  Watched& watched = watched_[static_cast<size_t>(fd)];
  ++watched.generation;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = KeyOf(fd, watched.generation);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoStatus(errno, "epoll_ctl");
  watched.ready = std::make_shared<Ready>(std::move(ready));
  return absl::OkStatus();
}

void EventLoop::Change(int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = KeyOf(fd, watched_[static_cast<size_t>(fd)].generation);
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Forget(int fd) {
  if (fd < 0 || static_cast<size_t>(fd) >= watched_.size() || watched_[static_cast<size_t>(fd)].ready == nullptr) return;
  watched_[static_cast<size_t>(fd)].ready.reset();
  // Explicitly: another process may hold the same open file, and its events would go on. epoll(7), "Questions and answers"
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::Step() {
  int wait_ms = -1;
  if (!timers_.empty()) {
    const int64_t left = timers_.begin()->first - static_cast<int64_t>(child::MonotonicNanoseconds());
    // Rounded up: not a moment too early, in which nothing would be due.
    wait_ms = static_cast<int>(std::clamp((left + 999'999) / 1'000'000, int64_t{0}, kLongestWaitMs));
  }
  epoll_event events[kEvents];
  const int count = epoll_wait(epoll_.get(), events, kEvents, wait_ms);
  for (int i = 0; i < count; ++i) {
    const int fd = static_cast<int>(events[i].data.u64 & 0xffffffff);
    const Watched& watched = watched_[static_cast<size_t>(fd)];
    if (watched.ready == nullptr || KeyOf(fd, watched.generation) != events[i].data.u64) continue;  // Forgotten since.
    const std::shared_ptr<Ready> ready = watched.ready;  // It may forget itself.
    (*ready)(events[i].events);
  }
  while (!timers_.empty() && timers_.begin()->first <= static_cast<int64_t>(child::MonotonicNanoseconds())) {
    const std::function<void()> expired = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    expired();
  }
}

}  // namespace brood::internal
