#include "batch/function_job.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "batch/real_path.h"
#include "batch/suggest.h"
#include "bootstrap/json_arguments.h"
#include "bootstrap/plugin.h"
#include "bootstrap/registry.h"
#include "serialization/json_value.h"

namespace brood {
namespace {

// How much of `path` lies in the folder, or is the file, `place`: 0 if it does not.
size_t Covers(std::string_view place, std::string_view path) {
  if (place == "/") return 1;
  if (!absl::StartsWith(path, place)) return 0;
  return path.size() == place.size() || path[place.size()] == '/' ? place.size() : 0;
}

// Whether the rule that decides what is at `path` inside shows what is there outside.
bool IsVisible(const std::string& path, const std::vector<FileRule>& files) {
  const FileRule* nearest = nullptr;
  size_t covered = 0;
  for (const FileRule& rule : files) {
    const size_t here = Covers(rule.destination, path);
    if (here == 0 || here < covered) continue;
    nearest = &rule;
    covered = here;
  }
  return nearest != nullptr && nearest->kind == FileRule::Kind::kBind && nearest->source == nearest->destination;
}

}  // namespace

absl::StatusOr<std::string> ResolveTarget(const std::string& target) {
  const std::optional<PluginTarget> plugin = SplitPluginTarget(target);
  if (!plugin.has_value()) return target;
  BROOD_ASSIGN_OR_RETURN(const std::string path, internal::RealPath(plugin->path));
  return plugin->name.empty() ? path : absl::StrCat(path, ":", plugin->name);
}

absl::Status CheckTarget(const std::string& target) {
  const std::optional<PluginTarget> plugin = SplitPluginTarget(target);
  if (plugin.has_value()) {
    BROOD_RETURN_IF_ERROR(ResolveTarget(target).status());
    if (!plugin->name.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(target, ": which target of it? ", plugin->path, ":NAME; brood call --list ",
                                                   plugin->path, " tells which there are"));
  }
  if (internal::FindTarget(target).ok()) return absl::OkStatus();
  std::vector<std::string> names;
  for (const auto& [name, signature] : RegisteredTargets()) names.push_back(name);
  return absl::NotFoundError(absl::StrCat(target, ": no target of that name in this program", DidYouMean(target, names),
                                          "; brood call --list tells which there are, and that of a plugin is PATH", kPluginSuffix, ":NAME"));
}

void ShowPlugin(const std::string& target, Policy& policy) {
  const std::optional<PluginTarget> plugin = SplitPluginTarget(target);
  if (!plugin.has_value() || !policy.namespaces.contains(Layer::kMount) || IsVisible(plugin->path, policy.files)) return;
  LayFiles({FileRule{.source = plugin->path, .destination = plugin->path}}, policy.files);
}

std::vector<TypedValue> JsonArguments(const std::vector<std::string>& texts) {
  std::vector<TypedValue> arguments;
  for (const std::string& text : texts) arguments.push_back(JsonArgument(text));
  return arguments;
}

absl::StatusOr<std::optional<std::string>> ReturnedJson(Process& process) {
  BROOD_ASSIGN_OR_RETURN(const Outcome outcome, process.Join());
  if (outcome.exit_code() != 0) return std::nullopt;
  BROOD_ASSIGN_OR_RETURN(const std::optional<TypedValue> value, process.ResultValue());
  if (!value.has_value()) return std::nullopt;
  BROOD_ASSIGN_OR_RETURN(std::string json, JsonText(*value));
  return json;
}

}  // namespace brood
