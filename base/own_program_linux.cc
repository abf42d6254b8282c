#include "base/own_program.h"

#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace brood {
namespace {

constexpr char kOwnProgram[] = "/proc/self/exe";

// The first that is told of is the main program. dl_iterate_phdr(3)
int AsksForLoader(dl_phdr_info* info, size_t /*size*/, void* /*arg*/) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    if (info->dlpi_phdr[i].p_type == PT_INTERP) return 1;
  }
  return -1;
}

// The kernel has loaded no interpreter for what it executed, and yet we ask for one. getauxval(3), "AT_BASE"; ld.so(8).
bool WasStartedByLoader() {
  static const bool by_loader = getauxval(AT_BASE) == 0 && dl_iterate_phdr(AsksForLoader, nullptr) == 1;
  return by_loader;
}

}  // namespace

absl::StatusOr<UniqueFd> OpenOwnProgram(std::string_view remedy) {
  if (WasStartedByLoader()) {
    char loader[PATH_MAX];
    const ssize_t size = readlink(kOwnProgram, loader, sizeof(loader));
    return absl::FailedPreconditionError(absl::StrCat(
        "open executable ", kOwnProgram, ": it is the dynamic loader ",
        size > 0 ? std::string_view(loader, static_cast<size_t>(size)) : "ld.so",
        ", to which this program was given as an argument, so that it cannot be executed again; ", remedy));
  }
  UniqueFd executable(open(kOwnProgram, O_PATH | O_CLOEXEC));
  if (!executable.valid()) return ErrnoStatus(errno, "open executable", kOwnProgram);
  return executable;
}

}  // namespace brood
