// Labels of Linux's security modules, as text: the name of a profile of AppArmor, or a context of SELinux.
#ifndef BROOD_SANDBOX_LABEL_H_
#define BROOD_SANDBOX_LABEL_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace brood {

// Kept sandboxes have it in an order of fixed size; a context of SELinux has some dozens of bytes.
inline constexpr size_t kMaxLabel = 255;

// "brood-job", "&brood-job" (beside the caller's own profile), "system_u:system_r:job_t:s0". Whether there is such a one the kernel
// knows. Errors: InvalidArgument, what was expected.
absl::StatusOr<std::string> ParseLabel(std::string_view text);

}  // namespace brood

#endif  // BROOD_SANDBOX_LABEL_H_
