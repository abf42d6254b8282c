// The limits of a tree that nobody but its guardian enforces: wall time, and what is seen by looking now and then.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_LIMIT_WATCH_CHILD_H_
#define BROOD_LAUNCHER_LIMIT_WATCH_CHILD_H_

#include <sys/types.h>

#include <cstdint>

#include "launcher/launch_record.h"

namespace brood::child {

// All times are of CLOCK_MONOTONIC, in nanoseconds.
class LimitWatch {
 public:
  explicit LimitWatch(const LaunchRecord& record) : record_(record) {}

  // The target was born: its wall time runs.
  void Begin(uint64_t time_ns);

  // Plans the next look at the tree, if there is anything to look for.
  void Schedule();

  // When Check is to be called next; UINT64_MAX: not because of a limit.
  uint64_t next() const;

  // The limit that has been reached, or kNone. `root` is above all of the tree.
  EndCause Check(uint64_t now, pid_t root);

  // Once, with a record that has a grace: kWallTime was reached at `now`, and is reached again when that is over.
  bool BeginGrace(uint64_t now);
  bool in_grace() const { return in_grace_; }

  // `tasks` were seen in the tree, with its root.
  void CountTasks(uint64_t tasks);

  uint64_t wall_deadline() const { return wall_deadline_; }  // 0: none.
  bool processes_at_limit() const { return processes_at_limit_; }
  uint64_t cpu_seen_ns() const { return cpu_seen_; }
  uint64_t memory_peak_bytes() const { return memory_peak_; }

 private:
  const LaunchRecord& record_;
  uint64_t wall_deadline_ = 0;
  bool in_grace_ = false;
  uint64_t next_check_ = 0;
  uint64_t cpu_seen_ = 0;
  uint64_t memory_peak_ = 0;
  bool processes_at_limit_ = false;
};

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_LIMIT_WATCH_CHILD_H_
