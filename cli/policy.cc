// brood policy: validates policy files, prints built-in ones.
#include "sandbox/policy.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "batch/policy_json.h"
#include "batch/suggest.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "launcher/launch_options.h"

namespace brood {
namespace {

int Explain(const std::string& name) {
  const absl::StatusOr<std::string_view> text = BuiltinPolicyText(name);
  if (text.ok()) return PrintOut(*text) ? kExitOk : kExitBroodFailed;
  const std::string suggestion = DidYouMean(name, {"strict", "default", "networked", "none"});
  PrintError("policy", absl::StrCat(text.status().message(), suggestion));
  return kExitUsage;
}

int Check(const std::string& path) {
  const absl::StatusOr<Policy> policy = LoadPolicy(path);
  if (!policy.ok()) {
    PrintError("policy", policy.status().message());
    return absl::IsInvalidArgument(policy.status()) ? kExitNegative : kExitUsage;
  }
  if (const auto compiled = CompilePolicy(*policy); !compiled.ok()) {
    PrintError("policy", absl::StrCat(path, ": ", compiled.status().message()));
    return kExitNegative;
  }
  return PrintOut(absl::StrCat(path, ": ok\n")) ? kExitOk : kExitBroodFailed;
}

}  // namespace

int PolicyMain(const std::vector<std::string>& args) {
  const absl::StatusOr<ParsedOptions> options = ParseOptions("policy", args);
  if (!options.ok()) return ReportUsage("policy", options.status(), kExitUsage);
  const std::vector<std::string>& operands = options->operands();
  if (operands.size() == 2 && operands[0] == "explain") return Explain(operands[1]);
  if (operands.size() == 2 && operands[0] == "check") return Check(operands[1]);
  const bool known = operands.empty() || operands[0] == "explain" || operands[0] == "check";
  const std::string suggestion = known ? "" : DidYouMean(operands[0], {"explain", "check"});
  return ReportUsage("policy",
                     absl::InvalidArgumentError(absl::StrCat("expected explain NAME or check FILE", suggestion)),
                     kExitUsage);
}

}  // namespace brood
