// What is the same of plugins on all systems: a name is found among the targets of one that was loaded.
#include "bootstrap/plugin.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "bootstrap/plugin_entries.h"
#include "bootstrap/run_child.h"

namespace brood::internal {
namespace {

absl::StatusOr<BoundTarget> BindNothing(const std::vector<TypedValue>& /*arguments*/) {
  return BoundTarget([]() -> TargetResult { return {}; });
}

const TargetEntry kLoaded = {
    .name = "", .function = nullptr, .bind = BindNothing, .signature = [] { return std::string("()->void"); }, .call = nullptr};

std::string NamesOf(const std::vector<const TargetEntry*>& entries) {
  std::vector<std::string_view> names;
  for (const TargetEntry* entry : entries) names.emplace_back(entry->name);
  std::sort(names.begin(), names.end());
  constexpr size_t kShown = 12;
  if (names.size() <= kShown) return absl::StrJoin(names, ", ");
  const size_t others = names.size() - kShown;
  names.resize(kShown);
  return absl::StrCat(absl::StrJoin(names, ", "), " and ", others, " more");
}

// Not inlined: its frame is large, and would cost those a page of stack that look for something else.
[[gnu::noinline]] absl::StatusOr<const TargetEntry*> FindIn(const PluginTarget& wanted) {
  const PreparationData* const preparation = CurrentPreparation();
  BROOD_ASSIGN_OR_RETURN(
      const std::vector<const TargetEntry*> entries,
      LoadPlugin(wanted.path, preparation != nullptr ? preparation->plugin_path : std::vector<std::string>()));
  if (wanted.name.empty()) return &kLoaded;
  const TargetEntry* found = nullptr;
  for (const TargetEntry* entry : entries) {
    if (entry->name != wanted.name) continue;
    if (found != nullptr && found->function != entry->function) {
      return absl::FailedPreconditionError(absl::StrCat("target \"", wanted.name, "\": plugin ", wanted.path,
                                                        " registers two functions by that name"));
    }
    found = entry;
  }
  if (found != nullptr) return found;
  return absl::NotFoundError(absl::StrCat(
      "target \"", wanted.name, "\": not in plugin ", wanted.path, ", which ",
      entries.empty() ? kWhyNoTargets : absl::StrCat("has ", NamesOf(entries))));
}

}  // namespace

absl::Status CheckPluginAbi(const std::string& path, const TargetEntry* entry) {
  if (std::strcmp(entry->abi, kTargetAbi) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("plugin ", path, ": built for another brood (", entry->abi,
                                                    "; this is ", kTargetAbi, "); build it again"));
}

absl::StatusOr<const TargetEntry*> FindPluginTarget(std::string_view target) {
  const std::optional<PluginTarget> wanted = SplitPluginTarget(target);
  if (!wanted.has_value()) return nullptr;
  return FindIn(*wanted);
}

}  // namespace brood::internal
