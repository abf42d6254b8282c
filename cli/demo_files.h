// Files of this machine to work on, chosen the same way each time.
#ifndef BROOD_CLI_DEMO_FILES_H_
#define BROOD_CLI_DEMO_FILES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace brood {

struct FileQuery {
  std::vector<std::string> roots;
  std::vector<std::string_view> suffixes;  // Empty: every name.
  uint64_t min_bytes = 1;
  uint64_t max_bytes = uint64_t{256} << 10;
  std::function<bool(const std::string& path)> accept;  // Looks into the file; unset: all are taken.
};

// Regular files that everybody may read, in the order of their names. Symbolic links are not followed. Stops after so
// many directory entries that a machine with a million files doesn't keep the caller waiting.
std::vector<std::string> FindFiles(const FileQuery& query);

// `count` of `all`, evenly spread, in order; all of them if there are no more.
std::vector<std::string> Spread(const std::vector<std::string>& all, size_t count);

// True if the file begins with `magic`.
bool BeginsWith(const std::string& path, std::string_view magic);

// The path of `program` in the directories that every sandbox shows; empty if it is not there.
std::string FindProgram(std::string_view program);

}  // namespace brood

#endif  // BROOD_CLI_DEMO_FILES_H_
