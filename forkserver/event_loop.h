// One thread that waits for many descriptors and moments: epoll(7).
//
// For one thread. Callbacks may watch, forget and schedule as they like, also what they are called for.
#ifndef BROOD_FORKSERVER_EVENT_LOOP_H_
#define BROOD_FORKSERVER_EVENT_LOOP_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"

namespace brood::internal {

class EventLoop {
 public:
  using Ready = std::function<void(uint32_t events)>;
  using Timer = std::multimap<int64_t, std::function<void()>>::iterator;

  // Errors: those of epoll_create1(2).
  absl::Status Open();

  // Calls `ready` whenever one of `events` (EPOLLIN, EPOLLOUT; an error or a hang-up counts as either) holds. `fd` is
  // borrowed; Forget it before it is closed. Errors: those of epoll_ctl(2).
  absl::Status Watch(int fd, uint32_t events, Ready ready);
  void Change(int fd, uint32_t events);
  void Forget(int fd);

  // Calls `expired` once, at `deadline` of MonotonicNanoseconds().
  Timer Schedule(int64_t deadline_ns, std::function<void()> expired) { return timers_.emplace(deadline_ns, std::move(expired)); }
  void Cancel(Timer timer) { timers_.erase(timer); }

  // Waits for something, and calls what it concerns.
  void Step();

 private:
  struct Watched {
    uint32_t generation = 0;
    std::shared_ptr<Ready> ready;  // Null: not watched.
  };

  UniqueFd epoll_;
  std::vector<Watched> watched_;  // By descriptor. The generation tells an event of an earlier file of that number.
  std::multimap<int64_t, std::function<void()>> timers_;
};

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_EVENT_LOOP_H_
