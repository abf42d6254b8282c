#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>

#include "base/status.h"
#include "base/unique_fd.h"
#include "launcher/executor/pool_events.h"

namespace brood::internal {
namespace {

constexpr uint64_t kEnd = 1;  // In an event's number, below the worker's.

class LinuxPoolEvents : public PoolEvents {
 public:
  absl::Status Open() {
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_.valid()) return ErrnoStatus(errno, "epoll_create1");
    wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_.valid()) return ErrnoStatus(errno, "eventfd");
    if (!Control(EPOLL_CTL_ADD, wake_.get(), EPOLLIN, 0)) return ErrnoStatus(errno, "epoll_ctl");
    return absl::OkStatus();
  }

  const std::vector<PoolEvent>& Await(int milliseconds) override {
    epoll_event events[64];
    const int count = epoll_wait(epoll_.get(), events, std::size(events), milliseconds);
    found_.clear();
    for (int i = 0; i < count; ++i) {
      const uint64_t number = events[i].data.u64;
      if (number == 0) {
        uint64_t wakes = 0;
        (void)!read(wake_.get(), &wakes, sizeof(wakes));
      }
      const bool ended = (number & kEnd) != 0;
      found_.push_back({.worker = number >> 1,
                        .ended = ended,
                        .readable = !ended && (events[i].events & ~uint32_t{EPOLLOUT}) != 0,
                        .writable = !ended && (events[i].events & EPOLLOUT) != 0});
    }
    return found_;
  }

  void Wake() override {
    const uint64_t one = 1;
    // Full is as good: it is readable then.
    (void)!write(wake_.get(), &one, sizeof(one));
  }

  bool WatchStream(int stream, uint64_t worker, Interest before, Interest now) override {
    // Taken out where nothing is wanted: its end would be reported all the same. epoll_ctl(2), EPOLLHUP.
    const int operation = now == Interest::kNone      ? EPOLL_CTL_DEL
                          : before != Interest::kNone ? EPOLL_CTL_MOD
                                                      : EPOLL_CTL_ADD;
    return Control(operation, stream, now == Interest::kReadingAndWriting ? EPOLLIN | EPOLLOUT : EPOLLIN, worker << 1);
  }

  absl::Status WatchEnd(int sentinel, uint64_t worker) override {
    if (Control(EPOLL_CTL_ADD, sentinel, EPOLLIN, worker << 1 | kEnd)) return absl::OkStatus();
    return ErrnoStatus(errno, "epoll_ctl");
  }

  void ForgetEnd(int sentinel, uint64_t /*worker*/) override { Control(EPOLL_CTL_DEL, sentinel, 0, 0); }

 private:
  bool Control(int operation, int fd, uint32_t events, uint64_t number) {
    epoll_event event = {};
    event.events = events;
    event.data.u64 = number;
    return epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
  }

  UniqueFd epoll_;
  UniqueFd wake_;
  std::vector<PoolEvent> found_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PoolEvents>> PoolEvents::Create() {
  auto events = std::make_unique<LinuxPoolEvents>();
  BROOD_RETURN_IF_ERROR(events->Open());
  return events;
}

}  // namespace brood::internal
