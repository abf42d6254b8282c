#include "serve/templates.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace brood::internal {

absl::StatusOr<std::map<std::string, ContextOptions>> ContextsOf(const ContextOptions& base, const std::vector<ServeTemplate>& templates) {
  std::map<std::string, ContextOptions> contexts = {{"", base}};
  for (const ServeTemplate& one : templates) {
    const size_t slash = one.path.rfind('/');
    const std::string parent = slash == std::string::npos ? "" : one.path.substr(0, slash);
    const std::string name = slash == std::string::npos ? one.path : one.path.substr(slash + 1);
    // It is told in lines, labels and JSON.
    const bool is_word = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\'; });
    if (name.empty() || !is_word || (slash != std::string::npos && parent.empty())) {
      return absl::InvalidArgumentError(absl::StrCat("template \"", absl::CHexEscape(one.path), "\": expected NAME or PARENT/NAME, of visible ASCII"));
    }
    const auto found = contexts.find(parent);
    if (found == contexts.end()) {
      return absl::InvalidArgumentError(absl::StrCat("template \"", one.path, "\": there is no template \"", parent, "\" before it"));
    }
    ContextOptions options = found->second;
    options.templates.push_back({.name = name, .preload = one.preload, .freeze = base.freeze});
    if (!contexts.emplace(one.path, std::move(options)).second) {
      return absl::InvalidArgumentError(absl::StrCat("template \"", one.path, "\": there are two"));
    }
  }
  return contexts;
}

}  // namespace brood::internal
