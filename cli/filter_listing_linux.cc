#include "base/status.h"
#include "cli/filter_listing.h"
#include "sandbox/filter_text.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {

absl::StatusOr<std::string> FilterListing(const Policy& policy) {
  BROOD_ASSIGN_OR_RETURN(const CompiledFilter filter, CompileFilter(policy));
  return filter.instructions.empty() ? "no filter\n" : DisassembleFilter(filter.instructions);
}

}  // namespace brood
