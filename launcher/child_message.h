// The handle on which a spawned child finds its messages.
#ifndef BROOD_LAUNCHER_CHILD_MESSAGE_H_
#define BROOD_LAUNCHER_CHILD_MESSAGE_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::internal {

// A handle from which the child reads `bytes` and then the end, without anybody who must stay to write: a child that
// dies early, or reads nothing, holds up nobody. Errors: those of pipe(2) and memfd_create(2).
absl::StatusOr<UniqueFd> PrefilledMessage(std::string_view bytes);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_CHILD_MESSAGE_H_
