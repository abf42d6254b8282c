// A pseudo-terminal for a child, of the caller's devpts. Neither the caller nor the child keeps the side that types: the
// child's guardian does. The child sees its own side and no other terminal, whatever its root shows.
#ifndef BROOD_LAUNCHER_TERMINAL_LINUX_H_
#define BROOD_LAUNCHER_TERMINAL_LINUX_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "sandbox/child_plan.h"

namespace brood {

struct TerminalPair {
  UniqueFd master;  // Non-blocking.
  UniqueFd slave;
};

// Errors: InvalidArgument (`like` is no terminal), NotFound (no devpts here), ResourceExhausted.
absl::StatusOr<TerminalPair> OpenTerminal(const Terminal& terminal);

// A plan that also shows the child its terminal, as /dev/tty and by its own name, so that ttyname(3) finds it. Holds what
// the plan points to.
class TerminalView {
 public:
  // Does nothing where the root has no /dev of brood's making: there is that of the host, or none.
  void Add(int slave, ChildPlan* plan);

 private:
  std::vector<MountStep> mounts_;
  std::vector<LandlockRule> rules_;
  std::string path_;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_TERMINAL_LINUX_H_
