#include "sandbox/plan_speculation.h"

#include <linux/prctl.h>
#include <sys/prctl.h>

#include <cerrno>
#include <fstream>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {
namespace {

int Ask(unsigned long kind) {
  const int answer = prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
  return answer >= 0 ? answer : -errno;
}

// "Vulnerable", as the kernel judges the machine. Where it does not tell, nothing.
std::string Judgement(std::string_view file) {
  std::ifstream in(absl::StrCat("/sys/devices/system/cpu/vulnerabilities/", file));
  std::string line;
  std::getline(in, line);
  return line.empty() ? "" : absl::StrCat(" (", file, ": ", line, ")");
}

void Add(std::string_view text, std::string_view separator, std::string& to) { absl::StrAppend(&to, to.empty() ? "" : separator, text); }

void PlanKind(uint32_t kind, int answer, std::string_view name, std::string_view file, SpeculationPlan& plan) {
  if (answer == -ENODEV || answer == -EINVAL) {
    return Add(absl::StrCat(name, ": this kernel knows no control of it"), "; ", plan.missing);
  }
  if (answer < 0) return Add(absl::StrCat(name, ": the kernel answers ", ErrnoText(-answer)), "; ", plan.missing);
  if ((answer & PR_SPEC_PRCTL) != 0) {
    plan.off |= uint32_t{1} << kind;
    return Add(absl::StrCat(name, " off for good"), ", ", plan.by_what);
  }
  // Zero stands for a CPU that does not do it. Without a control "disabled" is so for all threads.
  if (answer == PR_SPEC_NOT_AFFECTED) return Add(absl::StrCat(name, " not affected"), ", ", plan.by_what);
  if ((answer & (PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE)) != 0) return Add(absl::StrCat(name, " off for all"), ", ", plan.by_what);
  Add(absl::StrCat(name, ": on, and the kernel has no control of it", Judgement(file)), "; ", plan.missing);
}

}  // namespace

SpeculationAnswers AskSpeculation() {
  return {.store_bypass = Ask(PR_SPEC_STORE_BYPASS), .indirect_branch = Ask(PR_SPEC_INDIRECT_BRANCH)};
}

SpeculationPlan PlanSpeculation(const SpeculationAnswers& answers) {
  SpeculationPlan plan;
  PlanKind(PR_SPEC_STORE_BYPASS, answers.store_bypass, "store bypass", "spec_store_bypass", plan);
  PlanKind(PR_SPEC_INDIRECT_BRANCH, answers.indirect_branch, "indirect branches", "spectre_v2", plan);
  return plan;
}

}  // namespace brood
