// The names of the steps of a child's set-up, as an outcome's `setup.step` has them. A name that is not in this list does not
// compile, so that launcher/set_up_failure_test.cc, which makes each of the list fail, knows them all.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_SANDBOX_SETUP_STEPS_H_
#define BROOD_SANDBOX_SETUP_STEPS_H_

#include <string_view>

namespace brood::child {

inline constexpr const char* kSetupSteps[] = {
    "attributes", "bootstrap", "capabilities", "cgroup",   "cgroup namespace", "copy-in",      "copy-out", "cwd",        "descriptors", "exec",
    "fork",      "guardian",     "hostname", "ids",              "init",         "label",    "landlock", "limits",     "mount",       "namespaces",
    "network",   "no_new_privs", "pivot_root", "read_back",      "seccomp",      "session",  "slot",       "speculation", "terminal",
    "time namespace", "tree",      "user namespace",
};

class SetupStep {
 public:
  consteval SetupStep(const char* name) : name_(name) {  // NOLINT: meant to be implicit.
    for (const std::string_view known : kSetupSteps) {
      if (known == name) return;
    }
    throw "add the step to kSetupSteps, and to the faults of set_up_failure_test";
  }
  constexpr const char* name() const { return name_; }

 private:
  const char* name_;
};

}  // namespace brood::child

#endif  // BROOD_SANDBOX_SETUP_STEPS_H_
