// Where stack traces of violations are to be had.
#ifndef BROOD_LAUNCHER_STACK_STACK_SUPPORT_H_
#define BROOD_LAUNCHER_STACK_STACK_SUPPORT_H_

#include <cstdint>

#include "absl/status/status.h"

namespace brood {

// On a machine whose system calls have the AUDIT_ARCH_* value `arch`. Errors: Unimplemented, naming the architecture.
absl::Status CheckStackTraces(uint32_t arch);

}  // namespace brood

#endif  // BROOD_LAUNCHER_STACK_STACK_SUPPORT_H_
