#include "launcher/stack/stack_support.h"

#include <linux/audit.h>

#include "absl/strings/str_cat.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {

absl::Status CheckStackTraces(uint32_t arch) {
  if (arch == AUDIT_ARCH_X86_64) return absl::OkStatus();
  return absl::UnimplementedError(absl::StrCat("violation stack: stack traces of violations are there for x86_64 only, and this is ", ArchName(arch, 0),
                                               "; run without --violation-stack"));
}

}  // namespace brood
