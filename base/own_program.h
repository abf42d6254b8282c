// The file of the running program, to execute it again.
#ifndef BROOD_BASE_OWN_PROGRAM_H_
#define BROOD_BASE_OWN_PROGRAM_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood {

// Opens it with O_PATH, also where its path leads to another file by now, or to none.
//
// Errors: FailedPrecondition (the program was started as `ld.so PROGRAM`: the kernel takes the dynamic loader for what
// runs, and nobody can tell how to repeat the command; the message ends with `remedy`), those of open(2).
absl::StatusOr<UniqueFd> OpenOwnProgram(std::string_view remedy);

}  // namespace brood

#endif  // BROOD_BASE_OWN_PROGRAM_H_
