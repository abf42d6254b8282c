#include "base/wake_soon_child.h"

#include <sched.h>
#include <sys/syscall.h>

#include <cstdint>

#include "base/raw_syscall_child.h"

namespace brood::child {
namespace {

constexpr uint64_t kShortestNs = 100'000;  // The kernel takes no less. kernel/sched/syscalls.c, __setparam_fair()
constexpr uint64_t kResetOnFork = 1;       // SCHED_FLAG_RESET_ON_FORK. sched_setattr(2)

struct Attributes {  // struct sched_attr of the first version. sched_setattr(2)
  uint32_t size = sizeof(Attributes);
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0;  // Of SCHED_OTHER: its slice, in nanoseconds; to set, 0 stands for the machine's.
  uint64_t deadline = 0;
  uint64_t period = 0;
};

bool Get(Attributes* attributes) { return RawSyscall(SYS_sched_getattr, 0, attributes, uint64_t{sizeof(*attributes)}, 0) == 0; }

bool Set(const Attributes& attributes) { return RawSyscall(SYS_sched_setattr, 0, &attributes, 0) == 0; }

// Whether those that are born get it back by a reset, which takes everybody else's slice and priority, too. sched(7),
// "Resetting scheduling policy"
bool IsTheMachines(const Attributes& own) {
  if (own.nice < 0 || own.flags != 0) return false;
  Attributes plain = own;
  plain.runtime = 0;
  if (!Set(plain) || !Get(&plain)) return false;
  if (plain.runtime == own.runtime) return true;
  Set(own);
  return false;
}

}  // namespace

void WakeSoon(BornLater children) {
  Attributes own;
  // Kernels that know no slices tell of none.
  if (!Get(&own) || own.policy != SCHED_OTHER || own.runtime <= kShortestNs) return;
  if (children == BornLater::kAsWeWere && !IsTheMachines(own)) return;
  own.runtime = kShortestNs;
  if (children == BornLater::kAsWeWere) own.flags |= kResetOnFork;
  Set(own);
}

}  // namespace brood::child
