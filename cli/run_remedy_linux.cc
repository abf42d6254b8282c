#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "batch/files.h"
#include "batch/json.h"
#include "batch/oci_profile.h"
#include "cli/printable.h"
#include "cli/run_remedy.h"
#include "sandbox/learn/rule_text.h"
#include "sandbox/policy.h"
#include "sandbox/policy_flatbuffer.h"
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

// A profile of Docker's or of OCI has words of its own.
bool IsProfile(const std::string& policy) {
  if (policy.empty() || policy == "-" || BuiltinPolicyText(policy).ok()) return false;
  std::error_code error;
  if (!std::filesystem::is_regular_file(policy, error)) return false;  // A pipe's content is gone.
  const absl::StatusOr<std::string> text = ReadFile(policy, kMaxPolicyBytes);
  const absl::StatusOr<JsonValue> value = text.ok() ? ParseJson(*text, {.file = policy}) : text.status();
  return value.ok() && IsOciProfile(*value);
}

}  // namespace

std::string RunRemedy(const Outcome& outcome, const std::string& program, const std::string& policy) {
  if (const auto* violation = std::get_if<Violation>(&outcome.ending); violation != nullptr) {
    if (violation->syscall == "unknown" || violation->arch != ArchName(NativeArch(), 0)) return "";
    if (IsProfile(policy)) {
      return absl::StrCat("; allowed by {\"names\": [\"", violation->syscall, "\"], \"action\": \"SCMP_ACT_ALLOW\"} in \"syscalls\" of ", policy);
    }
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
