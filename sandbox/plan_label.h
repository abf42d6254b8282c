// Which of Linux's security modules has labels here, and what a child writes to have one.
#ifndef BROOD_SANDBOX_PLAN_LABEL_H_
#define BROOD_SANDBOX_PLAN_LABEL_H_

#include <string>
#include <string_view>

#include "sandbox/child_plan.h"

namespace brood {

struct LabelSupport {
  LabelStep::Module module = LabelStep::Module::kNone;
  std::string by_what;  // "AppArmor". Empty: there is none.
  std::string why;      // What there is less than that. Empty: nothing.
  std::string remedy;
};

// Of the system whose /sys and /proc are below `root`, for tests; "" is this machine's.
LabelSupport FindLabelSupport(std::string_view root = "");

// What is written for `label`: "exec brood-job" for AppArmor, the context itself for SELinux.
std::string LabelText(LabelStep::Module module, std::string_view label);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_LABEL_H_
