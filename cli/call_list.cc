#include "cli/call_list.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/function_job.h"
#include "batch/job.h"
#include "bootstrap/plugin.h"
#include "bootstrap/target.h"
#include "launcher/context.h"

namespace brood {
namespace {

constexpr char kOwnPrefix[] = "brood.";

absl::StatusOr<std::vector<TargetLine>> ListPlugin(const std::string& path) {
  BROOD_ASSIGN_OR_RETURN(const std::vector<const internal::TargetEntry*> entries, internal::LoadPlugin(path, {}));
  std::vector<TargetLine> lines;
  if (entries.empty()) return absl::NotFoundError(absl::StrCat("plugin ", path, " ", internal::kWhyNoTargets));
  for (const internal::TargetEntry* entry : entries) lines.emplace_back(entry->name, entry->signature());
  return lines;
}
BROOD_TARGET_AS("brood.list", ListPlugin);

}  // namespace

std::vector<TargetLine> TargetsOfProgram() {
  std::vector<TargetLine> lines = RegisteredTargets();
  const auto is_own = [](const TargetLine& line) { return absl::StartsWith(line.first, kOwnPrefix); };
  lines.erase(std::remove_if(lines.begin(), lines.end(), is_own), lines.end());
  return lines;
}

absl::StatusOr<std::vector<TargetLine>> TargetsOfPlugin(const std::string& path, const JobDefaults& defaults) {
  const std::optional<PluginTarget> plugin = SplitPluginTarget(path);
  if (!plugin.has_value() || !plugin->name.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected PATH", kPluginSuffix));
  }
  Job job;
  job.target = path;
  BROOD_ASSIGN_OR_RETURN(std::unique_ptr<ProcessRunner> policies, ProcessRunner::Create(defaults));
  LaunchOptions launch;
  launch.env = defaults.env;
  BROOD_ASSIGN_OR_RETURN(launch.policy, policies->PolicyOf(job));
  launch.stdin_spec = Stdio::Null();
  launch.stdout_spec = Stdio::Null();
  launch.stderr_spec = Stdio::Null();
  BROOD_ASSIGN_OR_RETURN(const std::string resolved, ResolveTarget(path));
  const std::string real_path = SplitPluginTarget(resolved)->path;
  absl::StatusOr<std::vector<TargetLine>> lines = Context(StartMethod::kSpawn).Call(launch, ListPlugin, real_path);
  if (!absl::IsAborted(lines.status())) return lines;
  return absl::AbortedError(absl::StrCat("plugin ", path, ": it ended the process that loaded it: ", lines.status().message()));
}

}  // namespace brood
