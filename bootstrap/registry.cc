#include "bootstrap/registry.h"

#include <atomic>

#include "absl/strings/str_cat.h"
#include "base/among_data.h"

namespace brood {
namespace internal {
namespace {

// Constant-initialised: there before any static initialiser runs.
std::atomic<const TargetEntry*> g_newest = nullptr;
constinit AmongData<std::atomic<PluginFinder>> g_plugin_finder;

}  // namespace

bool RegisterTarget(TargetEntry* entry) {
  const TargetEntry* newest = g_newest.load();
  do {
    entry->next = newest;
  } while (!g_newest.compare_exchange_weak(newest, entry));
  return true;
}

const TargetEntry* NewestTarget() { return g_newest.load(); }

void SetPluginFinder(PluginFinder finder) { g_plugin_finder.value = finder; }

absl::StatusOr<const TargetEntry*> FindTarget(std::string_view name) {
  if (const PluginFinder finder = g_plugin_finder.value.load(); finder != nullptr) {
    absl::StatusOr<const TargetEntry*> plugins = finder(name);
    if (!plugins.ok() || *plugins != nullptr) return plugins;
  }
  const TargetEntry* found = nullptr;
  for (const TargetEntry* entry = g_newest.load(); entry != nullptr; entry = entry->next) {
    if (entry->is_plugins || entry->name != name) continue;
    // One function may be registered twice, by a header that two sources include.
    if (found != nullptr && found->function != entry->function) {
      return absl::FailedPreconditionError(absl::StrCat("target \"", name, "\": two functions are registered by that ",
                                                        "name; give one another: BROOD_TARGET_AS(\"NAME\", function)"));
    }
    found = entry;
  }
  if (found != nullptr) return found;
  return absl::NotFoundError(absl::StrCat("target \"", name, "\": not registered in this executable; add ",
                                          "BROOD_TARGET(", name, "); beside the function"));
}

absl::StatusOr<const TargetEntry*> FindTarget(AnyFunction function) {
  for (const TargetEntry* entry = g_newest.load(); entry != nullptr; entry = entry->next) {
    if (entry->function == function) return FindTarget(entry->name);
  }
  return absl::NotFoundError("target: the function is not registered; add BROOD_TARGET(name); beside it");
}

}  // namespace internal

std::vector<std::pair<std::string, std::string>> RegisteredTargets() {
  std::vector<std::pair<std::string, std::string>> targets;
  for (auto* entry = internal::g_newest.load(); entry != nullptr; entry = entry->next) {
    if (!entry->is_plugins) targets.emplace_back(entry->name, entry->signature());
  }
  return targets;
}

}  // namespace brood
