// For those who load plugins: plugin_linux.cc, plugin_windows.cc.
#ifndef BROOD_BOOTSTRAP_PLUGIN_ENTRIES_H_
#define BROOD_BOOTSTRAP_PLUGIN_ENTRIES_H_

#include <string>

#include "absl/status/status.h"
#include "bootstrap/registry.h"

namespace brood::internal {

// Before anything else of an entry is looked at. Errors: FailedPrecondition, with both versions.
absl::Status CheckPluginAbi(const std::string& path, const TargetEntry* entry);

}  // namespace brood::internal

#endif  // BROOD_BOOTSTRAP_PLUGIN_ENTRIES_H_
