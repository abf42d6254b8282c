// What the kernel knows of this process that a job may have changed: descriptors, mappings, timers, signals, threads, children,
// working directory, limits, and the rest of /proc/self/status that is a choice and not a measurement.
//
// In memory of its owner's, so that it can lie where nothing is reset; the functions allocate nothing.
#ifndef BROOD_LAUNCHER_JOBS_KERNEL_STATE_H_
#define BROOD_LAUNCHER_JOBS_KERNEL_STATE_H_

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "launcher/jobs/task_state.h"

namespace brood::internal {

// Open files of /proc/self, which stay open.
struct KernelStateFiles {
  int status = -1;
  int maps = -1;
  int fd = -1;
  int timers = -1;
  int pagemap = -1;  // Not there: the kernel may keep it to itself.
  TaskStateFiles task;

  // Null, or what could not be opened, with errno.
  const char* Open();
};

struct KernelState {
  static constexpr size_t kMaxStatus = 8192;
  static constexpr size_t kMaxMaps = size_t{128} << 10;
  static constexpr size_t kMaxFds = 256;

  struct Descriptor {
    int number = -1;
    dev_t device = 0;
    ino_t inode = 0;
    int flags = 0;
    int descriptor_flags = 0;
    off_t offset = 0;  // 0 where there is none.
    bool operator==(const Descriptor&) const = default;
  };

  char status[kMaxStatus];
  char maps[kMaxMaps];
  Descriptor descriptors[kMaxFds];
  size_t descriptor_count = 0;
  char timers[256];
  itimerval interval_timers[3];
  void* other_stack = nullptr;
  int other_stack_flags = 0;
  dev_t directory_device = 0;
  ino_t directory_inode = 0;
  rlimit limits[RLIM_NLIMITS];
  bool has_child = false;
  TaskState task;

  // Null, or what could not be told.
  const char* Take(const KernelStateFiles& files);

  // Whether another thread runs. Uses `status`.
  bool HasOtherThreads(const KernelStateFiles& files);

  // Unmaps the anonymous memory that is here and was not in `before`, for a process in which nobody knows of it any more. What
  // has become part of something that was there stays.
  void UnmapNew(const KernelState& before) const;

  // Likewise closes what is new and is a file to read whose code is mapped here: such has whoever makes the text of a stack.
  void CloseNewCode(const KernelState& before) const;

  // What differs, as a word or two for people: "descriptors", "signals (SigBlk)"; null: nothing. In static memory.
  const char* Difference(const KernelState& other) const;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOBS_KERNEL_STATE_H_
