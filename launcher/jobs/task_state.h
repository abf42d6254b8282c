// What the kernel keeps for this process beside what kernel_state.h compares: where its root is, its namespaces, how it is
// scheduled, what prctl(2) has set, the handlers of signals that have one.
//
// As kernel_state.h: in memory of its owner's, and nothing allocates.
#ifndef BROOD_LAUNCHER_JOBS_TASK_STATE_H_
#define BROOD_LAUNCHER_JOBS_TASK_STATE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace brood::internal {

// Open files of /proc/self, which stay open. One that cannot be opened, as in a sandbox that hides it, is compared by nobody.
struct TaskStateFiles {
  static constexpr size_t kTexts = 5;
  int namespaces = -1;
  int stat = -1;
  int texts[kTexts] = {-1, -1, -1, -1, -1};

  void Open();
};

struct TaskState {
  static constexpr size_t kNamespaces = 8;
  static constexpr size_t kAttributes = 9;
  static constexpr int kSignals = 64;
  struct Action {  // The kernel's, not the C library's. rt_sigaction(2)
    uintptr_t handler;
    uintptr_t flags;
    uintptr_t restorer;
    uint64_t mask;
  };

  dev_t root_device;
  ino_t root_inode;
  char namespaces[kNamespaces][32];
  long scheduling[4];  // Priority, nice value, real-time priority, policy.
  char texts[TaskStateFiles::kTexts][512];
  long attributes[kAttributes];
  Action actions[kSignals];
  long io_priority;
  long session_keyring;
  int memory_policy;
  bool locks_new_memory;

  // `status` is /proc/self/status. `pagemap` may be -1.
  void Take(const TaskStateFiles& files, const char* status, int pagemap);

  // As KernelState::Difference, for two that were taken with the same signals caught.
  const char* Difference(const TaskState& other) const;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_JOBS_TASK_STATE_H_
