// What the supervisor of a pool sleeps on: its workers' streams, their ends, and whoever wakes it. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_POOL_EVENTS_H_
#define BROOD_LAUNCHER_EXECUTOR_POOL_EVENTS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace brood::internal {

struct PoolEvent {
  uint64_t worker = 0;    // 0: it was woken.
  bool ended = false;     // The worker's process.
  bool readable = false;  // Its stream, or that has ended.
  bool writable = false;
};

// What of a stream is of interest.
enum class Interest { kNone, kReading, kReadingAndWriting };

class PoolEvents {
 public:
  static absl::StatusOr<std::unique_ptr<PoolEvents>> Create();
  virtual ~PoolEvents() = default;

  // Waits at most so long (-1: for ever) and says what has happened; nothing if the time has passed. Valid until the next
  // call. For the supervisor only.
  virtual const std::vector<PoolEvent>& Await(int milliseconds) = 0;

  // On any thread.
  virtual void Wake() = 0;

  // With the pool's lock. A stream of which nothing is of interest any more reports nothing, not even its end.
  virtual bool WatchStream(int stream, uint64_t worker, Interest before, Interest now) = 0;
  virtual absl::Status WatchEnd(int sentinel, uint64_t worker) = 0;
  virtual void ForgetEnd(int sentinel, uint64_t worker) = 0;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_POOL_EVENTS_H_
