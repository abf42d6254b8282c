#include "sandbox/check_filter.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {

absl::Status CheckFilter(const Policy& policy) { return CompileFilter(policy).status(); }

}  // namespace brood
