#include "cli/demo_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace brood {
namespace {

constexpr int kMaxEntries = 60000;

void Walk(const std::string& directory, const FileQuery& query, int& entries, std::vector<std::string>& found) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  // The file system's own order differs from machine to machine.
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    if (++entries > kMaxEntries) return;
    const std::string path = absl::StrCat(directory, "/", name);
    struct stat status = {};
    if (lstat(path.c_str(), &status) != 0) continue;
    if (S_ISDIR(status.st_mode)) {
      Walk(path, query, entries, found);
      continue;
    }
    const auto size = static_cast<uint64_t>(status.st_size);
    if (!S_ISREG(status.st_mode) || (status.st_mode & S_IROTH) == 0) continue;
    if (size < query.min_bytes || size > query.max_bytes) continue;
    const bool named =
        query.suffixes.empty() || std::any_of(query.suffixes.begin(), query.suffixes.end(),
                                              [&](std::string_view suffix) { return absl::EndsWith(name, suffix); });
    if (named && (!query.accept || query.accept(path))) found.push_back(path);
  }
}

}  // namespace

std::vector<std::string> FindFiles(const FileQuery& query) {
  std::vector<std::string> found;
  for (const std::string& root : query.roots) {
    int entries = 0;
    Walk(root, query, entries, found);
  }
  return found;
}

std::vector<std::string> Spread(const std::vector<std::string>& all, size_t count) {
  if (all.size() <= count) return all;
  std::vector<std::string> some;
  some.reserve(count);
  for (size_t i = 0; i < count; ++i) some.push_back(all[i * all.size() / count]);
  return some;
}

bool BeginsWith(const std::string& path, std::string_view magic) {
  std::string start(magic.size(), '\0');
  std::ifstream file(path, std::ios::binary);
  return file.read(start.data(), static_cast<std::streamsize>(start.size())) && start == magic;
}

std::string FindProgram(std::string_view program) {
  for (const char* directory : {"/usr/bin/", "/bin/"}) {
    std::string path = absl::StrCat(directory, program);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

}  // namespace brood
