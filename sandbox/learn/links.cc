#include "sandbox/learn/links.h"

#include <filesystem>
#include <optional>
#include <system_error>

namespace brood {
namespace {

constexpr int kMaxLinks = 40;  // As path_resolution(7).

// `path` with its first link that is shown replaced by where that leads; nothing if there is none.
std::optional<std::string> Hop(const std::string& path, const std::function<bool(std::string_view)>& is_shown) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::filesystem::path part = path.substr(0, end);
    std::error_code none;
    if (std::filesystem::is_symlink(part, none)) {
      if (!is_shown(part.native())) return std::nullopt;
      const std::filesystem::path target = std::filesystem::read_symlink(part, none);
      if (none || target.empty()) return std::nullopt;
      const std::string rest = end == std::string::npos ? "" : path.substr(end);
      std::string next = (part.parent_path() / target).lexically_normal().native() + rest;
      while (next.size() > 1 && next.back() == '/') next.pop_back();
      return next;
    }
    if (end == std::string::npos) return std::nullopt;
  }
}

}  // namespace

std::vector<std::string> LinkTargets(std::string_view path, const std::function<bool(std::string_view)>& is_shown) {
  std::vector<std::string> targets;
  std::string at(path);
  for (int hops = 0; hops < kMaxLinks; ++hops) {
    std::optional<std::string> next = Hop(at, is_shown);
    if (!next.has_value()) break;
    targets.push_back(*next);
    at = *std::move(next);
  }
  return targets;
}

}  // namespace brood
