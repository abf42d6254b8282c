#include "base/status.h"
#include "sandbox/bpf_check.h"
#include "sandbox/check_filter.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {

absl::Status CheckFilter(const Policy& policy) {
  for (const BpfFile& file : policy.bpf_files) BROOD_RETURN_IF_ERROR(Annotate(ReadBpf(file).status(), "bpf_files"));
  return policy.filter_syscalls ? CompileFilter(policy).status() : absl::OkStatus();
}

}  // namespace brood
