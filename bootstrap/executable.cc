#include "bootstrap/executable.h"

#include <fcntl.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/own_program.h"
#include "base/status.h"
#include "bootstrap/bootstrap.h"

namespace brood::internal {
namespace {

absl::StatusOr<UniqueFd> Open(const std::string& path) {
  if (!path.empty()) {
    if (path.find('\0') != std::string::npos) return absl::InvalidArgumentError("executable: contains a zero byte");
    UniqueFd executable(open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!executable.valid()) return ErrnoStatus(errno, "open executable", path);
    return executable;
  }
  if (!BootstrapWasCalled()) {
    return absl::FailedPreconditionError(
        "this program has not finished its own start; call brood::Bootstrap(argc, argv) first in main, and start "
        "processes after it");
  }
  return OpenOwnProgram("start the program by its own path, name its file in ContextOptions::executable, or use fork");
}

}  // namespace

absl::StatusOr<UniqueFd> OpenExecutable(std::string_view step, const std::string& path) {
  absl::StatusOr<UniqueFd> executable = Open(path);
  if (!executable.ok()) return Annotate(executable.status(), step);
  return executable;
}

}  // namespace brood::internal
