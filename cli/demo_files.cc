#include "cli/demo_files.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace brood {
namespace {

constexpr int kMaxEntries = 60000;

struct Entry {
  std::string name;
  unsigned char type;
};

// In the order of their names: the file system's own order differs from machine to machine.
std::vector<Entry> Entries(const std::string& directory) {
  std::vector<Entry> entries;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(directory.c_str()), closedir);
  if (stream == nullptr) return entries;
  while (const dirent* entry = readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") entries.push_back({.name = std::string(name), .type = entry->d_type});
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

bool HasSuffix(std::string_view name, const std::vector<std::string_view>& suffixes) {
  return suffixes.empty() || std::any_of(suffixes.begin(), suffixes.end(),
                                         [&](std::string_view suffix) { return absl::EndsWith(name, suffix); });
}

void Walk(const std::string& directory, const FileQuery& query, int& visited, std::vector<std::string>& found) {
  for (const Entry& entry : Entries(directory)) {
    if (++visited > kMaxEntries) return;
    const std::string path = absl::StrCat(directory, "/", entry.name);
    if (entry.type == DT_DIR) {
      Walk(path, query, visited, found);
      continue;
    }
    // DT_UNKNOWN is for file systems that don't say; their directories are not entered.
    if ((entry.type != DT_REG && entry.type != DT_UNKNOWN) || !HasSuffix(entry.name, query.suffixes)) continue;
    struct stat status = {};
    if (lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & S_IROTH) == 0) continue;
    const auto size = static_cast<uint64_t>(status.st_size);
    if (size < query.min_bytes || size > query.max_bytes) continue;
    if (!query.accept || query.accept(path)) found.push_back(path);
  }
}

}  // namespace

std::vector<std::string> FindFiles(const FileQuery& query) {
  std::vector<std::string> found;
  for (const std::string& root : query.roots) {
    int visited = 0;
    Walk(root, query, visited, found);
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
