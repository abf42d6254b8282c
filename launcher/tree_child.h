// Ends everything that a child started, and measures it where no cgroup does.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_TREE_CHILD_H_
#define BROOD_LAUNCHER_TREE_CHILD_H_

#include <sys/types.h>

#include <cstdint>

#include "launcher/launch_record.h"

namespace brood::child {

// Kills the init, and with it or after it every descendant, and reaps what became the guardian's. `init_pidfd` may be
// -1 if there is no init any more. False if something is left after `patience_ms`.
bool KillTree(const LaunchRecord& record, int init_pidfd, int patience_ms);

// The same for the children of the calling process, which must be a subreaper, without cgroups.
bool KillChildren(int patience_ms);

struct TreeSample {
  uint64_t memory_bytes = 0;  // Anonymous and shared memory of all live processes.
  uint64_t cpu_ns = 0;        // Of all live processes and those that they reaped.
  uint64_t tasks = 0;         // Threads, and zombies that nobody has reaped: what RLIMIT_NPROC counts.
  uint64_t largest_rss_bytes = 0;  // kPeaks only: the most that one of them ever had.
};

// SampleTree() looks at so many processes at most.
inline constexpr uint64_t kMaxSampled = 1024;

enum class SampleDepth { kUsage, kPeaks };

// Walks the live descendants of `root` through /proc. At most 1,024 processes are looked at.
TreeSample SampleTree(pid_t root, SampleDepth depth);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_TREE_CHILD_H_
