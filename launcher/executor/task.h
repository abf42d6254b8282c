// A chunk of calls on its way through a pool: one function, the arguments of one call or many, and their results as
// they come. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_TASK_H_
#define BROOD_LAUNCHER_EXECUTOR_TASK_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/fork_generation.h"

namespace brood::internal {

class Pool;
class WorkerLink;

inline constexpr absl::Duration kForEver = absl::Hours(24 * 365);  // More overflows the clocks.

// A registered function as requests name it. Lives as long as the program.
struct PoolTarget {
  std::string name;
  std::string signature;
};

// The results of the next `count` calls: bytes as the worker sent them (protocol.h), or one error for all.
struct ResultPiece {
  uint32_t count = 0;
  std::string bytes;
  absl::Status error;
};

// What waits for tasks: one task's future, or all chunks of a Map.
struct Completion {
  std::mutex mutex;
  std::condition_variable changed;
};

enum class TaskState { kQueued, kRunning, kDone };

struct Task {
  // Set before it is submitted.
  std::shared_ptr<Pool> pool;
  const PoolTarget* target = nullptr;
  std::string arguments;
  uint32_t count = 1;
  absl::Duration timeout = absl::InfiniteDuration();  // Of each call.
  std::shared_ptr<Completion> completion = std::make_shared<Completion>();
  const uint64_t creator = ForkGeneration();

  // The pool's, under its lock.
  uint64_t id = 0;
  WorkerLink* worker = nullptr;      // That works on it.
  uint32_t next = 0;                 // The first call that has no result and is not running.
  int lost_before_begin = 0;         // Workers that died before they had read it.
  bool bounded = false;              // It takes room in the queue.
  bool cancelled = false;            // Nothing of it is to be started any more.
  int64_t began_ns = 0;              // When it was given to a worker last, CLOCK_MONOTONIC.
  int64_t took_ns = 0;               // From then to its end.
  std::vector<ResultPiece> results;  // Constant once it is done.

  // Under the completion's lock.
  TaskState state = TaskState::kQueued;

  void SetState(TaskState to);
  TaskState State() const;
  // False when `wait` has passed. Also in a fork of the process that submitted it, at once.
  bool Wait(absl::Duration wait) const;
};

// The result of the next call, taken from `bytes`. False: they are not what a worker sends.
bool TakeResult(std::string_view& bytes, std::string_view& value, absl::Status& error);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_TASK_H_
