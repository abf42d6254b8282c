// A child of a WarmPool: one job.
#include <time.h>

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "bootstrap/target.h"
#include "launcher/jobs/job_child.h"

namespace brood::internal {
namespace {

void RunWarmChild(const UniqueFd& socket) {
  // What a job needs of memory and code is there when it comes.
  (void)RunJob(IdleJob(), kMaxJobBytes);
  SendAll(socket.get(), JobReplyBytes(JobReplyKind::kReady, ""));
  std::string job;
  if (!ReadJob(socket.get(), job)) return;
  SendAll(socket.get(), RunJob(job, kMaxJobBytes));
  // Whoever waits for it on this processor has it before we take ourselves apart, which takes longer than many a job. A yield would
  // not do: in a cgroup of its own a process yields to none of another. sched(7), "CFS and autogroups"
  constexpr timespec kShort = {.tv_sec = 0, .tv_nsec = 1};  // With what the kernel adds: PR_SET_TIMERSLACK, 50 us.
  nanosleep(&kShort, nullptr);
}
BROOD_TARGET_AS("brood.warm_child", RunWarmChild);

}  // namespace
}  // namespace brood::internal
