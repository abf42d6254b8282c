// What a process has from the one that forks it and keeps through exec, taken from one process and given to another: so
// that a child of the forkserver is born as if the caller had forked it, at the moment of the start.
//
// The environment and the standard streams travel by themselves. Signals are the default ones for every child. What
// cannot be given (ids, groups, namespaces, ...) is in fingerprint.h.
#ifndef BROOD_FORKSERVER_BIRTH_H_
#define BROOD_FORKSERVER_BIRTH_H_

#include <linux/types.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace brood::internal {

struct Scheduling {  // As struct sched_attr of the first version. sched_setattr(2).
  uint32_t size = 48;
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;
  uint64_t deadline = 0;
  uint64_t period = 0;
  bool operator==(const Scheduling&) const = default;
};
static_assert(sizeof(Scheduling) == 48);

struct Birth {
  int cwd = -1;  // A descriptor of it; -1: the child has a root of its own.
  mode_t file_mask = 022;
  std::array<rlimit, RLIM_NLIMITS> rlimits = {};
  Scheduling scheduling;
  std::vector<uint64_t> processors;  // A bit for each.
  int io_priority = 0;
  int oom_score_adj = 0;
  pid_t process_group = 0;
};

// Of the calling thread. `cwd` and `file_mask` are left to the caller.
absl::StatusOr<Birth> CaptureBirth();

// `status_text` is a thread's /proc/thread-self/status.
absl::StatusOr<mode_t> FileMaskOf(std::string_view status_text);

// Gives it to the calling process, which must have one thread. What it has already is not touched, so that nothing fails
// that need not be done. Where `own` is given, it is what the process was born
// with, and the process is in a slot: it has a session of its own, and may not be allowed to ask what it has. Null, or what could not be done, with errno.
const char* ApplyBirth(const Birth& birth, const Birth* own = nullptr);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_BIRTH_H_
