// What can be done about a child that speculates: reads by a wrong guess of its CPU what it must not read, and tells by timing.
//
// The kernel has a control for each thread and each kind of guess, where CPU and settings allow one. It is inherited, kept over an
// exec, and cannot be taken back once it is forced. prctl(2), PR_SET_SPECULATION_CTRL; Documentation/userspace-api/spec_ctrl.rst
#ifndef BROOD_SANDBOX_PLAN_SPECULATION_H_
#define BROOD_SANDBOX_PLAN_SPECULATION_H_

#include <cstdint>
#include <string>

namespace brood {

// What PR_GET_SPECULATION_CTRL answers to this thread: bits of PR_SPEC_*, or an errno below zero.
struct SpeculationAnswers {
  int store_bypass = 0;
  int indirect_branch = 0;
};
SpeculationAnswers AskSpeculation();

struct SpeculationPlan {
  uint32_t off = 0;     // A bit for each kind that is to be turned off, by its number: PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH.
  std::string by_what;  // "store bypass off for good, indirect branches not affected". Empty: nothing can be done.
  std::string missing;  // "indirect branches: the kernel leaves them on and has no control of them". Empty: nothing.
};

// Not of PR_SPEC_L1D_FLUSH: that hides from others what the child has had, and the kernel ends it by SIGBUS where it shares a core.
SpeculationPlan PlanSpeculation(const SpeculationAnswers& answers);

inline constexpr char kSpeculationRemedy[] =
    "boot without mitigations=off, nospectre_v2 and nospec_store_bypass_disable, with current microcode; a virtual machine must be "
    "shown SSBD, IBPB and STIBP of its CPU";

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_SPECULATION_H_
