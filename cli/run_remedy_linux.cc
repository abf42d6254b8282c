#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/printable.h"
#include "cli/run_remedy.h"
#include "sandbox/learn/rule_text.h"
#include "sandbox/policy.h"
#include "sandbox/seccomp_compiler.h"

namespace brood {
namespace {

// Where the program is outside of the sandbox, as the caller would find it; "" if nowhere.
std::string PathOutside(const std::string& program) {
  std::vector<std::string> candidates = {program};
  if (program.find('/') == std::string::npos) {
    const char* path = std::getenv("PATH");
    candidates = absl::StrSplit(path != nullptr ? path : "", ':', absl::SkipEmpty());
    for (std::string& candidate : candidates) absl::StrAppend(&candidate, "/", program);
  }
  for (const std::string& candidate : candidates) {
    std::error_code error;
    if (access(candidate.c_str(), X_OK) == 0) return std::filesystem::absolute(candidate, error).lexically_normal();
  }
  return "";
}

}  // namespace

std::string RunRemedy(const Outcome& outcome, const std::string& program, const std::string& policy) {
  if (const auto* violation = std::get_if<Violation>(&outcome.ending); violation != nullptr) {
    if (violation->syscall == "unknown" || violation->arch != ArchName(NativeArch(), 0)) return "";
    const bool builtin = BuiltinPolicyText(policy).ok();
    return absl::StrCat("; allowed by ", AllowRuleText(violation->syscall, violation->args), " in \"syscalls\" of ",
                        builtin ? "a policy that extends " : "", policy.empty() ? "the server's policy" : policy);
  }
  const auto* setup = std::get_if<SetupFailed>(&outcome.ending);
  const bool hidden = setup != nullptr && setup->step == "exec" && setup->error_number == ENOENT;
  // The launcher says more in its detail when the program is there and something that it needs is not.
  if (!hidden || setup->detail.find(' ') != program.find(' ')) return "";
  const std::string outside = PathOutside(program);
  return outside.empty() ? "" : absl::StrCat("; not visible inside, --ro ", ShellCommand({outside}), " shows it");
}

}  // namespace brood
