// Which of a child's descriptors for reading it could open again for writing.
#ifndef BROOD_LAUNCHER_READ_ONLY_FILES_H_
#define BROOD_LAUNCHER_READ_ONLY_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "sandbox/child_plan.h"

namespace brood {

// A descriptor's mode binds nobody who may write the file itself: /proc/self/fd/N opens it anew, as does an own fchmod(2),
// wherever the child's root ends. proc(5). A child with an own root gets such a regular file through a mount that is
// read-only; this gives the path by which its init opens it so. Empty: `fd` needs nothing of the kind, since it is open for
// writing, or no regular file, or the child's id may not write the file. `name` is for messages: "stdin".
//
// Errors: FailedPrecondition: the file has no path by which it could be opened (it was deleted, or never had one).
absl::StatusOr<std::string> PathToOpenReadOnly(int fd, const ChildPlan& plan, const std::string& name);

}  // namespace brood

#endif  // BROOD_LAUNCHER_READ_ONLY_FILES_H_
