#include "cli/runfiles.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace brood {

absl::StatusOr<std::string> RunfilesDirectory(std::string_view path) {
  std::error_code error;
  std::vector<std::string> roots;
  // A test's and `bazel run`'s first, since a program that is data of another has no runfiles of its own.
  for (const char* variable : {"RUNFILES_DIR", "TEST_SRCDIR"}) {
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0') roots.emplace_back(value);
  }
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) roots.push_back(absl::StrCat(self.string(), ".runfiles"));
  std::vector<std::string> tried;
  for (const std::string& root : roots) {
    // The main repository's folder: its name in WORKSPACE, or what MODULE.bazel makes of it.
    for (const char* repository : {"brood", "_main"}) {
      tried.push_back(absl::StrCat(root, "/", repository, "/", path));
      if (std::filesystem::is_directory(tried.back(), error)) return tried.back();
    }
  }
  return absl::NotFoundError(
      absl::StrCat("find ", path, ": not in ", absl::StrJoin(tried, ", "), "; run brood from the tree that built it"));
}

}  // namespace brood
