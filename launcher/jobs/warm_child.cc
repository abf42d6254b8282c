// A child of a WarmPool: one job.
#include <sched.h>

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
  WriteAll(socket.get(), JobReplyBytes(JobReplyKind::kReady, ""));
  std::string job;
  if (!ReadJob(socket.get(), job)) return;
  WriteAll(socket.get(), RunJob(job, kMaxJobBytes));
  // Whoever waits for it on this processor has it before we take ourselves apart, which takes longer than many a job.
  sched_yield();
}
BROOD_TARGET_AS("brood.warm_child", RunWarmChild);

}  // namespace
}  // namespace brood::internal
