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
#include "cli/allowing_line.h"
#include "cli/leak_check.h"
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

// The text of a built-in's child, or of a file; "" where it is not to be had any more.
std::string TextOf(const std::string& policy) {
  if (BuiltinPolicyText(policy).ok()) return absl::StrCat(R"({"extends": ")", policy, R"("})");
  std::error_code error;
  if (policy.empty() || policy == "-" || !std::filesystem::is_regular_file(policy, error)) return "";  // A pipe's content is gone.
  return ReadFile(policy, kMaxPolicyBytes).value_or("");
}

// A profile of Docker's or of OCI has words of its own.
bool IsProfile(const std::string& text, const std::string& policy) {
  const absl::StatusOr<JsonValue> value = ParseJson(text, {.file = policy});
  return value.ok() && IsOciProfile(*value);
}

std::string ViolationRemedy(const Violation& violation, const std::string& program, const JobDefaults& defaults) {
  if (violation.syscall == "unknown" || violation.arch != ArchName(NativeArch(), 0)) return "";
  const std::string& policy = defaults.policy;
  if (IsLeakCheck(violation, PathOutside(program))) {
    return "; that is the program's own look for leaks at its end, which --env LSAN_OPTIONS=detect_leaks=0 turns off";
  }
  const std::string text = TextOf(policy);
  const std::string line = !text.empty() && IsProfile(text, policy)
                               ? absl::StrCat("{\"names\": [\"", violation.syscall, "\"], \"action\": \"SCMP_ACT_ALLOW\"}")
                               : AllowRuleText(violation.syscall, violation.args);
  const std::string where =
      absl::StrCat("\"syscalls\" of ", BuiltinPolicyText(policy).ok() ? "a policy that extends " : "", policy.empty() ? "the server's policy" : policy);
  switch (text.empty() ? LinePlace::kAnywhere : PlaceOfLine(text, line, defaults.options, violation)) {
    case LinePlace::kAnywhere:
      return absl::StrCat("; allowed by ", line, " in ", where);
    case LinePlace::kFirst:
      return absl::StrCat("; allowed by ", line, " as the first in ", where);
    case LinePlace::kNowhere:
      return absl::StrCat("; forbidden by a rule for ", violation.syscall, " in ", where);
    case LinePlace::kOptions:
      return absl::StrCat("; forbidden by the rules that --net brings: leave it out, and say \"network\" in the policy; then allowed by ", line, " in ", where);
  }
  return "";
}

}  // namespace

std::string RunRemedy(const Outcome& outcome, const std::string& program, const JobDefaults& defaults) {
  if (const auto* violation = std::get_if<Violation>(&outcome.ending); violation != nullptr) {
    return ViolationRemedy(*violation, program, defaults);
  }
  const auto* setup = std::get_if<SetupFailed>(&outcome.ending);
  const bool hidden = setup != nullptr && setup->step == "exec" && setup->error_number == ENOENT;
  // The launcher says more in its detail when the program is there and something that it needs is not.
  if (!hidden || setup->detail.find(' ') != program.find(' ')) return "";
  const std::string outside = PathOutside(program);
  return outside.empty() ? "" : absl::StrCat("; not visible inside, --ro ", ShellCommand({outside}), " shows it");
}

}  // namespace brood
