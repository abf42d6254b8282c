// The one way in which a child is born on Windows. For launcher/ only.
#ifndef BROOD_LAUNCHER_LAUNCH_WINDOWS_H_
#define BROOD_LAUNCHER_LAUNCH_WINDOWS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "launcher/launch_options.h"
#include "launcher/windows_state.h"

namespace brood::internal {

// What a launch is made of besides its options.
struct WindowsTarget {
  std::wstring executable;       // A function's program; empty: that which options.argv names.
  std::vector<UniqueFd> handles; // Inheritable ones of this launch alone, closed here once the child has them.
  UniqueFd setup;                // A function's: our end of its set-up pipe.
};

// A copy that a child inherits: for WindowsTarget::handles. `access`: what it may be used for; 0: all that `fd` may.
absl::StatusOr<UniqueFd> Inheritable(int fd, uint32_t access = 0);

// A program that cannot be started is a state whose outcome is SetupFailed, step "exec". Errors: what is wrong with the
// request or the system otherwise.
absl::StatusOr<std::shared_ptr<WindowsState>> LaunchOnWindows(const LaunchOptions& options, WindowsTarget target);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_LAUNCH_WINDOWS_H_
