#include <sys/auxv.h>
#include <sys/resource.h>

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "launcher/stack_room.h"

namespace brood::internal {
namespace {

constexpr size_t kNeeded = 96 << 10;  // 48 are too few, and some 76 enough.

}  // namespace

absl::Status CheckStackRoom() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return absl::OkStatus();
  // The first thread's begins below the arguments. Those of others are elsewhere, and have their size from the start.
  // Nothing but the program's name is above these. getauxval(3), AT_EXECFN
  const auto* const end = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  const auto* const here = static_cast<const char*>(__builtin_frame_address(0));
  if (end == nullptr || here > end || static_cast<size_t>(end - here) > limit.rlim_cur) return absl::OkStatus();
  const auto used = static_cast<size_t>(end - here);
  if (used + kNeeded <= limit.rlim_cur) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("stack: its limit of ", limit.rlim_cur, " bytes, of which ", used,
                                                    " are in use, is too low to start a child, which takes ", kNeeded, "; ulimit -s 8192"));
}

}  // namespace brood::internal
