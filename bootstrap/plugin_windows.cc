// Plugins are for Linux: a DLL cannot take what it shares with the program from it by name, as a shared library does.
#include "absl/strings/str_cat.h"
#include "bootstrap/plugin.h"

namespace brood {
namespace internal {

const char kWhyNoTargets[] = "";

absl::StatusOr<std::vector<const TargetEntry*>> LoadPlugin(const std::string& path, const std::vector<std::string>& /*folders*/) {
  return absl::UnimplementedError(absl::StrCat("plugin ", path, ": there are no plugins on Windows; register the target in the program"));
}

absl::StatusOr<const TargetEntry*> FindPluginTarget(std::string_view target) {
  const std::optional<PluginTarget> wanted = SplitPluginTarget(target);
  if (!wanted.has_value()) return nullptr;
  return LoadPlugin(wanted->path, {}).status();
}

const char* PluginBeingLoaded() { return nullptr; }

}  // namespace internal

std::optional<PluginTarget> SplitPluginTarget(std::string_view target) {
  for (const std::string_view suffix : {".dll:", ".so:"}) {
    const size_t at = target.rfind(suffix);
    if (at == std::string_view::npos || at == 0) continue;
    const size_t end = at + suffix.size() - 1;
    return PluginTarget{.path = std::string(target.substr(0, end)), .name = std::string(target.substr(end + 1))};
  }
  return std::nullopt;
}

}  // namespace brood
