#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/text.h"
#include "cli/filter_listing.h"
#include "sandbox/bpf_check.h"
#include "sandbox/filter_text.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {

absl::StatusOr<std::string> FilterListing(const Policy& policy) {
  BROOD_ASSIGN_OR_RETURN(const CompiledFilter filter, CompileFilter(policy));
  std::string text = DisassembleFilter(filter.instructions);
  for (const BpfFile& file : policy.bpf_files) {
    BROOD_ASSIGN_OR_RETURN(const std::vector<sock_filter> program, ReadBpf(file));
    absl::StrAppend(&text, text.empty() ? "" : "\n", "; ", Printable(file.path), "\n", DisassembleFilter(program));
  }
  return text.empty() ? "no filter\n" : text;
}

}  // namespace brood
