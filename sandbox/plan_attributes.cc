#include "sandbox/plan_attributes.h"

#include <sys/prctl.h>

#include <cerrno>

#include "base/status.h"
#include "sandbox/attributes_child.h"

namespace brood {

absl::Status PlanAttributes(const Policy& policy, AttributeSteps* steps) {
  BROOD_RETURN_IF_ERROR(CheckAttributes(policy.process));
  // Taken apart, so that a new one does not compile until it is planned.
  const auto& [nice, oom_score_adj, umask, personality, disable_tsc, deny_write_execute] = policy.process;
  steps->sets_nice = nice.has_value();
  steps->nice = nice.value_or(0);
  steps->sets_oom_score_adj = oom_score_adj.has_value();
  steps->oom_score_adj = oom_score_adj.value_or(0);
  steps->sets_umask = umask.has_value();
  steps->umask = umask.value_or(0);
  for (const std::string& flag : personality) steps->personality |= PersonalityFlag(flag);
  steps->disable_tsc = disable_tsc;
  steps->deny_write_execute = deny_write_execute;
  if (disable_tsc && !policy.filter_syscalls) {
    return absl::InvalidArgumentError("process: disable_tsc: needs filter_syscalls, or the program turns it on again. PR_SET_TSC(2const)");
  }
  int tsc = 0;
  if (disable_tsc && prctl(PR_GET_TSC, &tsc, 0, 0, 0) != 0) {
    return absl::FailedPreconditionError("process: disable_tsc: this processor or kernel cannot do it; it is there for x86-64. PR_SET_TSC(2const)");
  }
  if (deny_write_execute && prctl(child::kPrGetMdwe, 0, 0, 0, 0) < 0) {
    return absl::FailedPreconditionError("process: deny_write_execute: this kernel cannot do it; it takes Linux 6.3. PR_SET_MDWE(2const)");
  }
  return absl::OkStatus();
}

}  // namespace brood
